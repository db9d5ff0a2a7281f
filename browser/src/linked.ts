/** Fixed, moving and moved in NiiVue: three planes each, and one crosshair. */

import { Niivue, NVImage, SHOW_RENDER } from "@niivue/niivue";
import { Vector } from "./matrix";
import type { Result } from "./pair";
import { follower, returner } from "./transform";
import { volumeBytes } from "./writing";

export type Name = "fixed" | "moving" | "moved";
const NAMES: Name[] = ["fixed", "moving", "moved"];
const STEPS: Record<string, [number, number, number]> = {
  ArrowLeft: [-1, 0, 0], ArrowRight: [1, 0, 0], ArrowUp: [0, 1, 0], ArrowDown: [0, -1, 0],
  PageUp: [0, 0, 1], PageDown: [0, 0, -1],
};

export interface Linked {
  show(result: Result): Promise<void>;
}

/** Attach viewers to three canvases; a click in one moves the crosshairs of all. */
export async function linked(canvases: Record<Name, HTMLCanvasElement>): Promise<Linked> {
  const viewers = {} as Record<Name, Niivue>;
  for (const name of NAMES) viewers[name] = await viewer(canvases[name]);
  let places: Record<Name, { there(p: Vector): Vector; back(p: Vector): Vector }> | null = null;
  let busy = false;

  function follow(from: Name, point: Vector): void {
    if (busy || !places) return;
    busy = true;
    const fixed = places[from].back(point);
    for (const name of NAMES) if (name !== from) move(viewers[name], places[name].there(fixed));
    busy = false;
  }

  for (const name of NAMES) {
    viewers[name].onLocationChange = (data) => {
      follow(name, [...(data as { mm: number[] }).mm].slice(0, 3) as Vector);
    };
    canvases[name].addEventListener("keydown", (event) => {
      const step = STEPS[event.key];
      if (!step) return;
      event.preventDefault();
      event.stopImmediatePropagation();
      viewers[name].moveCrosshairInVox(...step);
    }, { capture: true });
  }

  return {
    async show(result) {
      const still = { there: (p: Vector) => p, back: (p: Vector) => p };
      const moving = { there: follower(result.found), back: returner(result.found) };
      places = { fixed: still, moved: still, moving };
      await load(viewers.fixed, volumeBytes(result.fixed.data, result.fixed), "fixed");
      await load(viewers.moving, volumeBytes(result.moving.data, result.moving), "moving");
      await load(viewers.moved, volumeBytes(result.moved, result.fixed), "moved");
      const { fixed } = viewers;
      follow("fixed", [...fixed.frac2mm(fixed.scene.crosshairPos)].slice(0, 3) as Vector);
    },
  };
}

async function viewer(canvas: HTMLCanvasElement): Promise<Niivue> {
  const found = new Niivue({
    dragAndDropEnabled: false,
    multiplanarShowRender: SHOW_RENDER.NEVER,
    crosshairColor: [0.94, 0.89, 0.26, 0.9],
    crosshairWidth: 1,
    backColor: [0, 0, 0, 1],
    loadingText: "",
    logLevel: "error",
  });
  await found.attachToCanvas(canvas);
  found.setSliceType(found.sliceTypeMultiplanar);
  return found;
}

async function load(viewer: Niivue, bytes: ArrayBuffer, name: string): Promise<void> {
  for (const volume of [...viewer.volumes]) viewer.removeVolume(volume);
  // Its own loader of buffers would keep every buffer for good.
  const options = { url: `${name}.nii`, name: `${name}.nii`, buffer: bytes };
  viewer.addVolume(await NVImage.loadFromUrl(options));
}

function move(viewer: Niivue, point: Vector): void {
  if (!viewer.volumes.length) return;
  viewer.scene.crosshairPos = viewer.mm2frac(point);
  viewer.drawScene();
}
