/**
 * What registration finds, as `registration/transform.py`: a chain from points of the
 * fixed world to those of the moving world, RAS mm. Whatever it moves is read once.
 */

import { blockFactors, Grid, size, subdivision } from "./grid";
import { carried, identity, inverse, Matrix, product, spacing, Vector } from "./matrix";
import { along, offsets, readLinear, Volume } from "./volume";

/** A displacement of the world on a grid; beyond it goes on with the value at its edge. */
export interface Field {
  grid: Grid;
  /** RAS mm, three numbers a voxel. */
  displacement: Float32Array;
}

export type Part = Field | Matrix;

/** The parts in the order in which a point passes them. */
export type Transform = Part[];

export function isField(part: Part): part is Field {
  return !Array.isArray(part);
}

/** Return the matrices alone, multiplied. */
export function affineOf(found: Transform): Matrix {
  return found.reduce<Matrix>(
    (matrix, part) => (isField(part) ? matrix : product(part, matrix)),
    identity(),
  );
}

export function isAffine(found: Transform): boolean {
  return !found.some(isField);
}

/** Return a function that carries points of the fixed scan to the moving one. */
export function follower(found: Transform): (point: Vector) => Vector {
  const steps = found.map((part) =>
    isField(part) ? displacer(part) : (point: Vector) => carried(part, point),
  );
  return (point) => steps.reduce((at, step) => step(at), point);
}

function displacer({ grid, displacement }: Field): (point: Vector) => Vector {
  const back = inverse(grid.affine);
  const [ni, nj, nk] = grid.shape;
  const clamp = (value: number, count: number) => Math.min(count - 1, Math.max(0, value));
  return (point) => {
    const place = carried(back, point);
    const [x, y, z] = [clamp(place[0], ni), clamp(place[1], nj), clamp(place[2], nk)];
    const i = Math.min(Math.floor(x), Math.max(0, ni - 2));
    const j = Math.min(Math.floor(y), Math.max(0, nj - 2));
    const k = Math.min(Math.floor(z), Math.max(0, nk - 2));
    const [u, v, w] = [x - i, y - j, z - k];
    const moved: Vector = [point[0], point[1], point[2]];
    for (let corner = 0; corner < 8; corner++) {
      const [a, b, c] = [corner >> 2, (corner >> 1) & 1, corner & 1];
      const share = (a ? u : 1 - u) * (b ? v : 1 - v) * (c ? w : 1 - w);
      if (share === 0) continue;
      const at = 3 * (((i + a) * nj + j + b) * nk + k + c);
      moved[0] += share * displacement[at];
      moved[1] += share * displacement[at + 1];
      moved[2] += share * displacement[at + 2];
    }
    return moved;
  };
}

/** Bring a moving scan onto a grid of the fixed world, in one interpolation. */
export function applied(found: Transform, moving: Volume, grid: Grid): Float32Array {
  const factors = blockFactors(moving.grid.affine, grid);
  const follow = follower([...found, inverse(moving.grid.affine)]);
  const out = new Float32Array(size(grid));
  const share = 1 / (factors[0] * factors[1] * factors[2]);
  const fine = product(grid.affine, subdivision(factors));
  for (const [p, q, r] of offsets(factors)) {
    const [x0, y0, z0] = [0, 1, 2].map((i) => fine[i][0] * p + fine[i][1] * q + fine[i][2] * r);
    const start = product(fine, scaling(factors));
    along(grid.shape, start, (index, x, y, z) => {
      const [i, j, k] = follow([x + x0, y + y0, z + z0]);
      out[index] += share * readLinear(moving.data, moving.grid.shape, i, j, k);
    });
  }
  return out;
}

/** Return by how much every voxel of a grid is displaced, three numbers a voxel. */
export function displacementOn(found: Transform, grid: Grid): Float32Array {
  const follow = follower(found);
  const out = new Float32Array(3 * size(grid));
  along(grid.shape, grid.affine, (index, x, y, z) => {
    const moved = follow([x, y, z]);
    out[3 * index] = moved[0] - x;
    out[3 * index + 1] = moved[1] - y;
    out[3 * index + 2] = moved[2] - z;
  });
  return out;
}

/** Return a field on a larger grid, on whose rim it fades to nothing. */
export function faded(field: Field, rim = 24): Field {
  const steps = spacing(field.grid.affine);
  const inner = field.grid.shape;
  const widths = steps.map((step) => Math.ceil(rim / step)) as Vector;
  const shape = inner.map((count, axis) => count + 2 * widths[axis]) as Vector;
  const shift = identity();
  widths.forEach((width, axis) => (shift[axis][3] = -width));
  const grid = { shape, affine: product(field.grid.affine, shift) };
  const displacement = new Float32Array(3 * size(grid));
  const within = (place: number, axis: number) =>
    Math.min(inner[axis] - 1, Math.max(0, place - widths[axis]));
  const weight = (place: number, axis: number) =>
    1 - Math.abs(place - widths[axis] - within(place, axis)) / widths[axis];
  along(shape, identity(), (index, i, j, k) => {
    const share = weight(i, 0) * weight(j, 1) * weight(k, 2);
    const from = (within(i, 0) * inner[1] + within(j, 1)) * inner[2] + within(k, 2);
    for (let axis = 0; axis < 3; axis++) {
      displacement[3 * index + axis] = share * field.displacement[3 * from + axis];
    }
  });
  return { grid, displacement };
}

function scaling(factors: Vector): Matrix {
  return identity().map((row, i) => row.map((v) => v * (i < 3 ? factors[i] : 1)));
}

/** Return a function that carries points of the moving scan back, by iteration. */
export function returner(found: Transform): (point: Vector) => Vector {
  const follow = follower(found);
  const back = inverse(affineOf(found));
  const moveTo = (here: Vector, point: Vector) => {
    const there = follow(here);
    const gap = point.map((value, i) => value - there[i]);
    return back.slice(0, 3).map((row) => row[0] * gap[0] + row[1] * gap[1] + row[2] * gap[2]);
  };
  return (point) => {
    let here = carried(back, point);
    let [move, share] = [moveTo(here, point), 1];
    for (let step = 0; step < 200 && Math.hypot(...move) > 1e-3; step++) {
      const next = here.map((value, i) => value + share * move[i]) as Vector;
      const left = moveTo(next, point);
      // Where the field is steep a whole step leads too far.
      if (Math.hypot(...left) >= Math.hypot(...move)) share /= 2;
      else [here, move, share] = [next, left, Math.min(1, 1.5 * share)];
    }
    return here;
  };
}
