/** The two files: dropped, chosen or built in, and what is known of them. */

import { Header } from "./header";
import type { Input } from "./pair";
import { header } from "./reading";

export type Role = "moving" | "fixed";
export interface Chosen extends Input {
  header: Header;
}

/** Read the header of a file; throws a sentence that helps where it cannot be used. */
export async function chosen(file: Blob, name: string): Promise<Chosen> {
  return { file, name, header: await header(file, name) };
}

/** Fetch a built-in pair. */
export async function builtIn(pair: string): Promise<Record<Role, Chosen>> {
  const load = async (role: Role) => {
    const name = `${pair}_${role}.nii.gz`;
    const answer = await fetch(new URL(`pairs/${name}`, document.baseURI));
    if (!answer.ok) throw new Error(`${name} cannot be fetched: ${answer.status}`);
    return chosen(await answer.blob(), name);
  };
  return { moving: await load("moving"), fixed: await load("fixed") };
}

/** Say what a file holds. */
export function described({ header: { shape, affine } }: Chosen): string {
  const step = (j: number) => Math.hypot(affine[0][j], affine[1][j], affine[2][j]);
  const sizes = [0, 1, 2].map((j) => Number(step(j).toFixed(2)));
  return `${shape.join(" × ")} voxels of ${sizes.join(" × ")} mm`;
}

/** Let a place take files that are dropped on it. */
export function droppable(place: HTMLElement, take: (files: File[]) => void): void {
  for (const name of ["dragenter", "dragover"]) {
    place.addEventListener(name, (event) => {
      event.preventDefault();
      place.classList.add("over");
    });
  }
  place.addEventListener("dragleave", () => place.classList.remove("over"));
  place.addEventListener("drop", (event) => {
    event.preventDefault();
    place.classList.remove("over");
    take([...(event.dataTransfer?.files ?? [])]);
  });
}
