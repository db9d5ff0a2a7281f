/** Planes of volumes as pixels: left is left, anterior and superior are up. */

import { Grid } from "./grid";
import { carried, spacing, Vector } from "./matrix";

export type Axis = 0 | 1 | 2;

export interface Plane {
  grid: Grid;
  axis: Axis;
  slice: number;
}

/** Return which axes run across and up in a plane. */
export function sides(axis: Axis): [Axis, Axis] {
  return axis === 0 ? [1, 2] : axis === 1 ? [0, 2] : [0, 1];
}

/** Return width and height of a plane in voxels and in millimetres. */
export function sizes({ grid, axis }: Plane): { voxels: number[]; mm: number[] } {
  const steps = spacing(grid.affine);
  const voxels = sides(axis).map((side) => grid.shape[side]);
  return { voxels, mm: sides(axis).map((side, i) => voxels[i] * steps[side]) };
}

/** Return the voxel under a place of the plane, counted from its upper left. */
export function voxelAt({ grid, axis, slice }: Plane, across: number, down: number): Vector {
  const [x, y] = sides(axis);
  const voxel: Vector = [slice, slice, slice];
  voxel[x] = across;
  voxel[y] = grid.shape[y] - 1 - down;
  return voxel;
}

/** Return where a point of the world lies on the plane, from its upper left. */
export function placeOf({ grid, axis }: Plane, back: number[][], point: Vector): [number, number] {
  const voxel = carried(back, point);
  const [x, y] = sides(axis);
  return [voxel[x], grid.shape[y] - 1 - voxel[y]];
}

/** Call a function for every pixel of a plane with its voxel's flat index. */
export function eachPixel(plane: Plane, visit: (pixel: number, index: number) => void): void {
  const { grid, axis } = plane;
  const [width, height] = sizes(plane).voxels;
  const strides = [grid.shape[1] * grid.shape[2], grid.shape[2], 1];
  const [x, y] = sides(axis);
  for (let down = 0; down < height; down++) {
    const row = plane.slice * strides[axis] + (height - 1 - down) * strides[y];
    for (let across = 0; across < width; across++) {
      visit(down * width + across, row + across * strides[x]);
    }
  }
}
