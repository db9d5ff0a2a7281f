/** Axes of a file turned to right, anterior, superior, and back, as nibabel does. */

import { Grid } from "./grid";
import { Matrix, rotation, Vector } from "./matrix";

export interface Turn {
  /** Whereto each stored axis goes. */
  axes: Vector;
  flipped: [boolean, boolean, boolean];
}

/** Return how the axes of a file have to be permuted and flipped. */
export function turnOf(affine: Matrix): Turn {
  const left = rotation(affine);
  const axes: Vector = [0, 0, 0];
  const flipped: Turn["flipped"] = [false, false, false];
  for (let stored = 0; stored < 3; stored++) {
    const column = left.map((row) => Math.abs(row[stored]));
    const axis = column.indexOf(Math.max(...column));
    axes[stored] = axis;
    flipped[stored] = left[axis][stored] < 0;
    left[axis] = [0, 0, 0];
  }
  return { axes, flipped };
}

/** Return the grid of a stored one after its axes were turned. */
export function turnedGrid(stored: Grid, turn: Turn): Grid {
  const shape: Vector = [0, 0, 0];
  const affine = stored.affine.map((row) => [...row]);
  turn.axes.forEach((axis, from) => {
    const size = stored.shape[from];
    shape[axis] = size;
    for (let row = 0; row < 3; row++) {
      const step = stored.affine[row][from];
      affine[row][axis] = turn.flipped[from] ? -step : step;
      if (turn.flipped[from]) affine[row][3] += step * (size - 1);
    }
  });
  return { shape, affine };
}

/**
 * Call a function for every stored voxel, first axis fastest as files have them, with
 * its flat index among the turned ones, last axis fastest.
 */
export function inFileOrder(
  stored: Vector,
  turn: Turn,
  visit: (file: number, turned: number) => void,
): void {
  const shape: Vector = [0, 0, 0];
  turn.axes.forEach((axis, from) => (shape[axis] = stored[from]));
  const strides = [shape[1] * shape[2], shape[2], 1];
  const steps = turn.axes.map((axis, from) => (turn.flipped[from] ? -1 : 1) * strides[axis]);
  const start = turn.axes.reduce(
    (sum, axis, from) => sum + (turn.flipped[from] ? (stored[from] - 1) * strides[axis] : 0),
    0,
  );
  let file = 0;
  for (let k = 0; k < stored[2]; k++)
    for (let j = 0; j < stored[1]; j++) {
      let turned = start + j * steps[1] + k * steps[2];
      for (let i = 0; i < stored[0]; i++, turned += steps[0]) visit(file++, turned);
    }
}
