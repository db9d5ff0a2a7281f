/** One plane of fixed and moved: before and after, overlay, warped grid, Jacobian. */

import { Grid } from "./grid";
import { window } from "./intensity";
import { carried, inverse, Matrix, Vector } from "./matrix";
import type { Result } from "./pair";
import { Axis, eachPixel, placeOf, Plane, sizes, voxelAt } from "./planes";
import { affineOf, follower } from "./transform";
import { nearest } from "./volume";

export type Mode = "before" | "sides" | "overlay" | "grid" | "jacobian";
export interface View {
  mode: Mode;
  axis: Axis;
  slice: number;
  /** Where the left picture ends, 0 to 1. */
  wipe: number;
}

type Paint = (index: number) => [number, number, number];
const ORANGE = [230, 159, 0];
const BLUE = [86, 180, 233];
const GRID_MM = 10;
const FINE_MM = 2.5;

export interface Comparison {
  grid: Grid;
  draw(canvas: HTMLCanvasElement, view: View): void;
}

/** Return what draws planes of a result. */
export function comparison(result: Result): Comparison {
  const { grid } = result.fixed;
  const fixed = shaded(result.fixed.data, grid);
  const before = shaded(result.before, grid);
  const moved = shaded(result.moved, grid);
  const both = (other: Uint8Array): Paint => (index) => mixed(fixed[index], other[index]);
  const gray = (image: Uint8Array): Paint => (index) => [image[index], image[index], image[index]];
  const tints = jacobianPaint(result, fixed);
  const pictures: Record<Mode, [Paint, Paint]> = {
    before: [both(before), both(moved)],
    sides: [gray(fixed), gray(moved)],
    overlay: twice(both(moved)),
    grid: twice(gray(moved)),
    jacobian: twice(tints),
  };
  const lines = gridLines(result);
  return {
    grid,
    draw(canvas, view) {
      const plane = { grid, axis: view.axis, slice: view.slice };
      const scale = paint(canvas, plane, pictures[view.mode], view.wipe);
      if (view.mode === "grid") lines(canvas, plane, scale);
      label(canvas, view);
    },
  };
}

/** Return one picture for both sides, between which no line is drawn. */
function twice(one: Paint): [Paint, Paint] {
  return [one, one];
}

/** Return an image as bytes, dark to bright. */
function shaded(data: Float32Array, grid: Grid): Uint8Array {
  const [dark, bright] = window({ data, grid });
  return Uint8Array.from(data, (value) =>
    Math.round(Math.min(1, Math.max(0, (value - dark) / (bright - dark))) * 255),
  );
}

function mixed(fixed: number, other: number): [number, number, number] {
  return [0, 1, 2].map((i) =>
    Math.min(255, (fixed * ORANGE[i] + other * BLUE[i]) / 255),
  ) as [number, number, number];
}

function jacobianPaint({ jacobian, fixed }: Result, gray: Uint8Array): Paint {
  const { grid, determinant } = jacobian;
  const back = inverse(grid.affine);
  const { shape, affine } = fixed.grid;
  return (index) => {
    if (!fixed.mask?.[index]) return [gray[index], gray[index], gray[index]];
    const voxel: Vector = [
      Math.floor(index / (shape[1] * shape[2])),
      Math.floor(index / shape[2]) % shape[1],
      index % shape[2],
    ];
    const at = nearest(grid.shape, ...carried(back, carried(affine, voxel)));
    const value = gray[index];
    if (at < 0) return [value, value, value];
    return tinted(value, determinant[at]);
  };
}

/** Blend a gray with orange where it grows, violet where it shrinks, red where it folds. */
function tinted(gray: number, determinant: number): [number, number, number] {
  if (determinant <= 0) return [255, 0, 0];
  const log = Math.max(-1, Math.min(1, Math.log2(determinant)));
  const colour = log > 0 ? [241, 163, 64] : [153, 142, 255];
  const share = 0.75 * Math.abs(log);
  const mix = (i: number) => gray * (1 - share) * 0.8 + colour[i] * share;
  return [mix(0), mix(1), mix(2)];
}

function paint(
  canvas: HTMLCanvasElement,
  plane: Plane,
  [left, right]: [Paint, Paint],
  wipe: number,
): { x: number; y: number } {
  const { voxels, mm } = sizes(plane);
  const pixels = new ImageData(voxels[0], voxels[1]);
  const edge = Math.round(wipe * voxels[0]);
  eachPixel(plane, (pixel, index) => {
    const colour = (pixel % voxels[0] < edge ? left : right)(index);
    pixels.data.set([...colour, 255], 4 * pixel);
  });
  const small = document.createElement("canvas");
  [small.width, small.height] = voxels;
  small.getContext("2d")!.putImageData(pixels, 0, 0);
  const scale = Math.max(1, Math.round(640 / Math.max(...mm) * 4) / 4);
  canvas.width = Math.round(mm[0] * scale);
  canvas.height = Math.round(mm[1] * scale);
  const context = canvas.getContext("2d")!;
  context.imageSmoothingQuality = "high";
  context.drawImage(small, 0, 0, canvas.width, canvas.height);
  if (left !== right) {
    context.fillStyle = "#fff";
    context.fillRect(wipe * canvas.width - 1, 0, 2, canvas.height);
  }
  return { x: canvas.width / voxels[0], y: canvas.height / voxels[1] };
}

/** Return what draws where the lines of a grid are fetched from, the affine left out. */
function gridLines(result: Result) {
  const { grid } = result.fixed;
  const world = inverse(grid.affine);
  const follow = follower(result.found);
  const still = inverse(affineOf(result.found));
  const bent = (point: Vector) => carried(still, follow(point));
  return (canvas: HTMLCanvasElement, plane: Plane, scale: { x: number; y: number }) => {
    const context = canvas.getContext("2d")!;
    context.strokeStyle = "#f0e442";
    context.lineWidth = 1.2;
    const { voxels, mm } = sizes(plane);
    const steps = [mm[0] / voxels[0], mm[1] / voxels[1]];
    for (const upright of [false, true]) {
      const [along, across] = upright ? [1, 0] : [0, 1];
      for (let line = GRID_MM; line < mm[across]; line += GRID_MM) {
        context.beginPath();
        for (let place = 0; place <= mm[along]; place += FINE_MM) {
          const at = [0, 0];
          at[along] = place / steps[along];
          at[across] = line / steps[across];
          const [x, y] = shown(plane, world, bent(carried(grid.affine, voxelAt(plane, at[0], at[1]))));
          context.lineTo((x + 0.5) * scale.x, (y + 0.5) * scale.y);
        }
        context.stroke();
      }
    }
  };
}

function shown(plane: Plane, world: Matrix, point: Vector): [number, number] {
  return placeOf(plane, world, point);
}

function label(canvas: HTMLCanvasElement, { axis }: View): void {
  const context = canvas.getContext("2d")!;
  const [left, right] = axis === 0 ? ["P", "A"] : ["L", "R"];
  context.font = "600 18px system-ui, sans-serif";
  context.fillStyle = "#fff";
  context.strokeStyle = "#000";
  context.lineWidth = 3;
  for (const [text, x] of [[left, 8], [right, canvas.width - 22]] as const) {
    context.strokeText(text, x, canvas.height / 2);
    context.fillText(text, x, canvas.height / 2);
  }
}
