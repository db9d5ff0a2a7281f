/** The page's elements by their names. */

export function element<T extends HTMLElement = HTMLElement>(id: string): T {
  const found = document.getElementById(id);
  if (!found) throw new Error(`the page lacks #${id}`);
  return found as T;
}

/** Fill a table's body with rows of cells, the first of each a head. */
export function fill(table: HTMLElement, rows: readonly (readonly string[])[]): void {
  const body = table.querySelector("tbody")!;
  body.replaceChildren(
    ...rows.map((cells) => {
      const row = document.createElement("tr");
      cells.forEach((text, i) => {
        const cell = document.createElement(i ? "td" : "th");
        cell.textContent = text;
        row.append(cell);
      });
      return row;
    }),
  );
}

/** Give a file to the reader's disk. */
export function download(name: string, blob: Blob): void {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}
