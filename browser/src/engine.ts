/** Two scans in, a transform out, by the stored networks, as `registration/runtime.py`. */

import { box, centre, Grid } from "./grid";
import { barycentre, scaled } from "./intensity";
import { exponential, identity, inverse, Matrix, product, spacing, Vector } from "./matrix";
import { Feeds, Network, outputOf } from "./network";
import { affineOf, Field, Transform } from "./transform";
import { along, fetched, Volume } from "./volume";

const AFFINE_RATE = 0.01;
const RATE = 0.25;

/** What is told while steps are made: how many of how many are done. */
export type Tell = (done: number, of: number) => void;

/** Find the affine between two scans. */
export async function affine(
  moving: Volume,
  fixed: Volume,
  model: Network,
  steps = 0,
  tell: Tell = () => undefined,
): Promise<Transform> {
  const images = [scaled(moving), scaled(fixed)];
  const [there, here] = images.map(barycentre);
  const shift = identity();
  for (let axis = 0; axis < 3; axis++) shift[axis][3] = there[axis] - here[axis];
  const grid = box(centre(fixed.grid), model.shape, model.voxel);
  const feeds = {
    moving: onGrid(images[0], grid, shift),
    fixed: onGrid(images[1], grid),
  };
  const numbers = await outputOf(model, "", "transform", feeds);
  let found = [0, 1, 2].map((row) => Array.from(numbers.slice(4 * row, 4 * row + 4)));
  if (steps) found = await refinedAffine(model, found, feeds, steps, tell);
  return [product(shift, toWorld(found, grid))];
}

/** Find the deformation between two scans without skulls, from their affine on. */
export async function dense(
  moving: Volume,
  fixed: Volume,
  start: Transform,
  model: Network,
  steps = 0,
  tell: Tell = () => undefined,
): Promise<Transform> {
  const target = scaled(fixed);
  const grid = box(barycentre(target), model.shape, model.voxel);
  const feeds = {
    moving: onGrid(scaled(moving), grid, affineOf(start)),
    fixed: onGrid(target, grid),
  };
  let velocity = await outputOf(model, "", "velocity", feeds);
  if (steps) velocity = await refinedVelocity(model, velocity, feeds, steps, tell);
  const voxels = await outputOf(model, ".field", "there", { velocity });
  return [field(voxels, grid), ...start];
}

/** Fetch an image on a network's grid, as `prepare.resample`. */
function onGrid(image: Volume, grid: Grid, matrix?: Matrix): Float32Array {
  const finest = Math.min(...spacing(image.grid.affine));
  const coarse = spacing(grid.affine)[0];
  const factor = Math.max(1, Math.round(coarse / finest - 0.01));
  return fetched(image, grid, matrix, [factor, factor, factor]);
}

/** Turn a displacement in voxels of a box into one in RAS mm. */
function field(voxels: Float32Array, grid: Grid): Field {
  const step = spacing(grid.affine)[0];
  return { grid, displacement: voxels.map((value) => value * step) };
}

/** Turn an affine in centred coordinates, see helpers/world.py, into RAS mm. */
function toWorld(found: Matrix, grid: Grid): Matrix {
  const steps = spacing(grid.affine);
  const half = Math.max(...grid.shape.map((count, axis) => count * steps[axis])) / 2;
  const centred = identity();
  for (let axis = 0; axis < 3; axis++) {
    centred[axis][axis] = steps[axis] / half;
    centred[axis][3] = (-centred[axis][axis] * (grid.shape[axis] - 1)) / 2;
  }
  const world = product(grid.affine, inverse(centred));
  return product(world, [...found, [0, 0, 0, 1]], inverse(world));
}

/** Return how fast steps of Adam go, falling to zero along a cosine. */
function fading(rate: number, count: number, steps: number): number {
  return (rate * (1 + Math.cos((Math.PI * count) / steps))) / 2;
}

async function refinedVelocity(
  model: Network,
  start: Float32Array,
  images: Feeds,
  steps: number,
  tell: Tell,
): Promise<Float32Array> {
  let velocity = start;
  let first: Float32Array = new Float32Array(start.length);
  let second: Float32Array = new Float32Array(start.length);
  for (let count = 0; count < steps; count++) {
    const scalars = Float32Array.from([fading(RATE, count, steps), count + 1]);
    const next = await model.run(".step", { velocity, first, second, scalars, ...images });
    velocity = next.next_velocity;
    first = next.next_first;
    second = next.next_second;
    tell(count + 1, steps);
  }
  checkFinite(velocity);
  return velocity;
}

async function refinedAffine(
  model: Network,
  start: Matrix,
  images: Feeds,
  steps: number,
  tell: Tell,
): Promise<Matrix> {
  let found: Matrix = [...start, [0, 0, 0, 1]];
  const first = new Float64Array(12);
  const second = new Float64Array(12);
  for (let count = 0; count < steps; count++) {
    const transform = Float32Array.from(found.slice(0, 3).flat());
    const force = await outputOf(model, ".force", "force", { transform, ...images });
    const gradient = gradientOf(force, model.shape);
    const rate = fading(AFFINE_RATE, count, steps);
    const generator = [0, 1, 2, 3].map(() => [0, 0, 0, 0]);
    for (let i = 0; i < 12; i++) {
      first[i] = 0.9 * first[i] + 0.1 * gradient[i];
      second[i] = 0.999 * second[i] + 0.001 * gradient[i] ** 2;
      const mean = first[i] / (1 - 0.9 ** (count + 1));
      const scale = Math.sqrt(second[i] / (1 - 0.999 ** (count + 1))) + 1e-8;
      generator[Math.floor(i / 4)][i % 4] = (-rate * mean) / scale;
    }
    found = product(found, exponential(generator));
    tell(count + 1, steps);
  }
  checkFinite(found.flat());
  return found.slice(0, 3);
}

/** Sum the force, and the force times the place, over all voxels. */
function gradientOf(force: Float32Array, shape: Vector): Float64Array {
  const half = Math.max(...shape) / 2;
  const gradient = new Float64Array(12);
  const start = identity().map((row, i) =>
    i < 3 ? row.map((v, j) => (j < 3 ? v / half : (1 - shape[i]) / 2 / half)) : row,
  );
  along(shape, start, (index, x, y, z) => {
    for (let axis = 0; axis < 3; axis++) {
      const push = -half * force[3 * index + axis];
      gradient[4 * axis] += push * x;
      gradient[4 * axis + 1] += push * y;
      gradient[4 * axis + 2] += push * z;
      gradient[4 * axis + 3] += push;
    }
  });
  return gradient;
}

function checkFinite(found: ArrayLike<number>): void {
  for (let i = 0; i < found.length; i++) {
    if (!Number.isFinite(found[i])) throw new Error("the refinement is not finite");
  }
}

