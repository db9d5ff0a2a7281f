/** Where voxels lie, as `registration/scans/grid.py`. Voxels run last axis first. */

import { carried, identity, linear, Matrix, product, spacing, Vector } from "./matrix";

export interface Grid {
  shape: Vector;
  /** From voxel indices to RAS millimetres. */
  affine: Matrix;
}

/** Return how many voxels a grid has. */
export function size(grid: Grid): number {
  return grid.shape[0] * grid.shape[1] * grid.shape[2];
}

/** Return where the middle of a grid lies, in RAS mm. */
export function centre(grid: Grid): Vector {
  const [i, j, k] = grid.shape;
  return carried(grid.affine, [(i - 1) / 2, (j - 1) / 2, (k - 1) / 2]);
}

/** Return the volume of a voxel in mm³. */
export function voxelVolume(grid: Grid): number {
  const [x, y, z] = spacing(grid.affine);
  return x * y * z;
}

/** Return a grid of cubic voxels along right, anterior, superior. */
export function box(middle: Vector, shape: Vector, voxel: number): Grid {
  const affine = identity();
  for (let axis = 0; axis < 3; axis++) {
    affine[axis][axis] = voxel;
    affine[axis][3] = middle[axis] - (voxel * (shape[axis] - 1)) / 2;
  }
  return { shape, affine };
}

/** Return the matrix from a grid cut into blocks to the grid itself. */
export function subdivision(factors: Vector): Matrix {
  return identity().map((row, i) =>
    i < 3
      ? row.map((value, j) => (j < 3 ? value / factors[i] : (1 / factors[i] - 1) / 2))
      : row,
  );
}

/** Return into how many pieces a grid's voxels are cut to catch a volume's detail. */
export function blockFactors(affine: Matrix, grid: Grid): Vector {
  const sizes = spacing(affine);
  const steps = spacing(grid.affine);
  return [0, 1, 2].map((axis) => {
    const turn = affine[axis].slice(0, 3).map((value, j) => Math.abs(value) / sizes[j]);
    const along = turn.indexOf(Math.max(...turn));
    return Math.max(1, evenRound(steps[axis] / sizes[along] - 0.01));
  }) as Vector;
}

/** Round as NumPy does: halves to the even neighbour. */
export function evenRound(value: number): number {
  const near = Math.round(value);
  return Math.abs(value % 1) === 0.5 && near % 2 !== 0 ? near - 1 : near;
}

/** Tell whether two grids have one shape and, to 1/20 voxel, one place. */
export function sameGrid(one: Grid, two: Grid): boolean {
  if (one.shape.some((count, axis) => count !== two.shape[axis])) return false;
  const most = Math.min(...spacing(two.affine)) / 20;
  return corners(one.shape).every((corner) => {
    const [a, b] = [one, two].map(({ affine }) => carried(affine, corner));
    return Math.hypot(a[0] - b[0], a[1] - b[1], a[2] - b[2]) <= most;
  });
}

/** List the voxels in the corners of a shape. */
export function corners(shape: Vector): Vector[] {
  return Array.from({ length: 8 }, (_, corner) =>
    shape.map((count, axis) => (count - 1) * ((corner >> axis) & 1)) as Vector,
  );
}

/** Return how far a grid's axes are from right angles: the largest cosine of two. */
export function shear(grid: Grid): number {
  const sides = spacing(grid.affine);
  const unit = linear(grid.affine).map((row) => row.map((v, j) => v / sides[j]));
  const columns = [0, 1, 2].map((j) => unit.map((row) => row[j]));
  const squares = product(columns, unit);
  return Math.max(
    ...squares.flatMap((row, i) => row.map((v, j) => Math.abs(v - Number(i === j)))),
  );
}
