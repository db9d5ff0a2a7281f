/** The result on the page: verdict, pictures, numbers, files. */

import { comparison, Comparison, Mode, View } from "./compare";
import { download, element, fill } from "./dom";
import { file } from "./jobs";
import type { Linked, Name } from "./linked";
import type { Result } from "./pair";
import type { Axis } from "./planes";
import { reportPage, rows, secondsOf, verdictWords } from "./report";
import { affineFile } from "./writing";

const canvas = element<HTMLCanvasElement>("plane");
const inputs = {
  mode: element<HTMLSelectElement>("mode"),
  axis: element<HTMLSelectElement>("axis"),
  wipe: element<HTMLInputElement>("wipe"),
  slice: element<HTMLInputElement>("slice"),
};
const PICTURES: [Mode, string][] = [
  ["before", "Left half before, right half after: moving in blue over fixed in orange"],
  ["grid", "Warped grid on the moved scan, lines 10 mm apart"],
  ["jacobian", "Jacobian: orange grows, violet shrinks, red folds"],
];
let result: Result | null = null;
let planes: Comparison | null = null;
let viewers: Linked | null = null;

/** Show what was found. */
export async function show(found: Result, threads: number): Promise<void> {
  result = found;
  planes = comparison(found);
  element("results").hidden = false;
  const { head, lines } = verdictWords(found);
  element("verdict").dataset.level = found.verdict.level;
  element("verdict-head").textContent = head;
  element("verdict-lines").replaceChildren(
    ...lines.map((line) => Object.assign(document.createElement("li"), { textContent: line })),
  );
  fill(element("numbers"), rows(found));
  const seconds = secondsOf(found);
  fill(element("seconds"), seconds);
  const many = threads === 1 ? "one thread" : `${threads} threads`;
  element("seconds-say").textContent = `${seconds.at(-1)![1]} seconds, ${many}`;
  element("labels-file").hidden = !found.labels;
  newAxis();
  element("result").focus();
  await showLinked(found);
}

/** Forget what was found, and give its memory back. */
export function clear(): void {
  result = planes = null;
  element("results").hidden = true;
}

async function showLinked(found: Result): Promise<void> {
  const names: Name[] = ["fixed", "moving", "moved"];
  try {
    if (!viewers) {
      const { linked } = await import("./linked");
      const canvases = names.map((name) => [name, element<HTMLCanvasElement>(`view-${name}`)]);
      viewers = await linked(Object.fromEntries(canvases));
    }
    await viewers.show(found);
  } catch (error) {
    element("viewers-say").textContent =
      `The linked planes need WebGL 2, which this browser does not offer (${error}).`;
  }
}

function view(): View {
  return {
    mode: inputs.mode.value as Mode,
    axis: Number(inputs.axis.value) as Axis,
    slice: Number(inputs.slice.value),
    wipe: Number(inputs.wipe.value) / 100,
  };
}

function redraw(): void {
  planes?.draw(canvas, view());
  element("wipe-label").hidden = !["before", "sides"].includes(inputs.mode.value);
  canvas.ariaLabel = `${inputs.mode.selectedOptions[0].text}; plane ${inputs.slice.value}`;
}

function newAxis(): void {
  const count = planes ? planes.grid.shape[Number(inputs.axis.value)] : 2;
  inputs.slice.max = String(count - 1);
  inputs.slice.value = String(Math.floor(count / 2));
  redraw();
}

inputs.axis.addEventListener("change", newAxis);
inputs.mode.addEventListener("change", redraw);
inputs.wipe.addEventListener("input", redraw);
inputs.slice.addEventListener("input", redraw);

element("downloads").addEventListener("click", async (event) => {
  const button = event.target as HTMLButtonElement;
  const kind = button.dataset?.file;
  if (!result || !kind) return;
  button.disabled = true;
  try {
    download(button.textContent!, await made(kind, result));
  } finally {
    button.disabled = false;
  }
});

async function made(kind: string, found: Result): Promise<Blob> {
  const onto = found.fixed;
  if (kind === "moved") return file({ kind: "volume", data: found.moved, onto });
  if (kind === "labels") return file({ kind: "volume", data: found.labels!, onto });
  if (kind === "warp") return file({ kind: "warp", found: found.found, onto });
  if (kind === "affine") return new Blob([affineFile(found.found)], { type: "text/plain" });
  return new Blob([reportPage(found, pictures(found))], { type: "text/html" });
}

function pictures(found: Result): [string, string][] {
  const shown = comparison(found);
  const sheet = document.createElement("canvas");
  return PICTURES.map(([mode, words]) => {
    const slice = Math.floor(found.fixed.grid.shape[2] * 0.55);
    shown.draw(sheet, { mode, axis: 2, slice, wipe: 0.5 });
    return [words, sheet.toDataURL("image/jpeg", 0.85)];
  });
}
