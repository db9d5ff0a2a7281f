/** Volumes in space, and how they are read between voxels. */

import { blockFactors, Grid, size, subdivision } from "./grid";
import { inverse, Matrix, product, Vector } from "./matrix";

export interface Volume {
  data: Float32Array;
  grid: Grid;
}

/** Read a volume linearly; whatever lies outside of it is zero. */
export function readLinear(
  data: Float32Array,
  [ni, nj, nk]: Vector,
  x: number,
  y: number,
  z: number,
): number {
  if (!(x > -1 && y > -1 && z > -1 && x < ni && y < nj && z < nk)) return 0;
  const i = Math.floor(x);
  const j = Math.floor(y);
  const k = Math.floor(z);
  const u = x - i;
  const v = y - j;
  const w = z - k;
  if (i >= 0 && j >= 0 && k >= 0 && i < ni - 1 && j < nj - 1 && k < nk - 1) {
    const at = (i * nj + j) * nk + k;
    const near = line(data, at, w) * (1 - v) + line(data, at + nk, w) * v;
    const next = at + nj * nk;
    return near * (1 - u) + (line(data, next, w) * (1 - v) + line(data, next + nk, w) * v) * u;
  }
  let sum = 0;
  for (let a = 0; a < 2; a++) {
    if (i + a < 0 || i + a >= ni) continue;
    const first = a ? u : 1 - u;
    for (let b = 0; b < 2; b++) {
      if (j + b < 0 || j + b >= nj) continue;
      const share = first * (b ? v : 1 - v);
      const row = ((i + a) * nj + j + b) * nk + k;
      if (k >= 0) sum += share * (1 - w) * data[row];
      if (k + 1 < nk) sum += share * w * data[row + 1];
    }
  }
  return sum;
}

function line(data: Float32Array, at: number, share: number): number {
  return data[at] + (data[at + 1] - data[at]) * share;
}

/** Return the flat index of the voxel nearest to a place, -1 outside. */
export function nearest([ni, nj, nk]: Vector, x: number, y: number, z: number): number {
  const i = Math.floor(x + 0.5);
  const j = Math.floor(y + 0.5);
  const k = Math.floor(z + 0.5);
  if (i < 0 || j < 0 || k < 0 || i >= ni || j >= nj || k >= nk) return -1;
  return (i * nj + j) * nk + k;
}

/** Call a function for every voxel of a shape with its place after a matrix. */
export function along(
  shape: Vector,
  matrix: Matrix,
  visit: (index: number, x: number, y: number, z: number) => void,
): void {
  const [[a, b, c, d], [e, f, g, h], [l, m, n, o]] = matrix;
  let index = 0;
  for (let i = 0; i < shape[0]; i++) {
    for (let j = 0; j < shape[1]; j++) {
      const x = a * i + b * j + d;
      const y = e * i + f * j + h;
      const z = l * i + m * j + o;
      for (let k = 0; k < shape[2]; k++) {
        visit(index++, x + c * k, y + g * k, z + n * k);
      }
    }
  }
}

/**
 * Fetch a volume through a world matrix on a grid, in blocks where the grid is coarser.
 * Without factors, they are those that catch the volume's detail.
 */
export function fetched(
  volume: Volume,
  grid: Grid,
  matrix?: Matrix,
  factors: Vector = blockFactors(volume.grid.affine, grid),
): Float32Array {
  const world = matrix ? product(matrix, grid.affine) : grid.affine;
  const places = product(inverse(volume.grid.affine), world, subdivision(factors));
  const out = new Float32Array(size(grid));
  const { data } = volume;
  const { shape } = volume.grid;
  const share = 1 / (factors[0] * factors[1] * factors[2]);
  const fine = product(places, diagonal(factors));
  for (const [p, q, r] of offsets(factors)) {
    const shifted = fine.map((row, i) =>
      row.map((v, j) => (j < 3 ? v : v + places[i][0] * p + places[i][1] * q + places[i][2] * r)),
    );
    along(grid.shape, shifted, (index, x, y, z) => {
      out[index] += share * readLinear(data, shape, x, y, z);
    });
  }
  return out;
}

/** Take the nearest voxel of a mask at every voxel of a grid. */
export function fetchedMask(mask: Uint8Array, from: Grid, grid: Grid): Uint8Array {
  const out = new Uint8Array(size(grid));
  along(grid.shape, product(inverse(from.affine), grid.affine), (index, x, y, z) => {
    const place = nearest(from.shape, x, y, z);
    out[index] = place < 0 ? 0 : mask[place];
  });
  return out;
}

function diagonal(factors: Vector): Matrix {
  return [...factors, 1].map((factor, i) =>
    [0, 1, 2, 3].map((j) => (i === j ? factor : 0)),
  );
}

/** List the places of the parts of a block. */
export function offsets(factors: Vector): Vector[] {
  const found: Vector[] = [];
  for (let p = 0; p < factors[0]; p++)
    for (let q = 0; q < factors[1]; q++)
      for (let r = 0; r < factors[2]; r++) found.push([p, q, r]);
  return found;
}
