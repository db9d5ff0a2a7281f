/** How good a registration is, in numbers, as `registration/quality.py`. */

import { box as boxed, Grid, size } from "./grid";
import { carried, determinant, inverse, Vector } from "./matrix";
import { affineOf, follower, Transform } from "./transform";
import { along, fetched, fetchedMask, nearest, Volume } from "./volume";

export interface Brain extends Volume {
  mask: Uint8Array;
}

export interface Similarity {
  ncc: number;
  local_ncc: number;
  brain_dice: number;
}

export interface Numbers {
  before: Similarity;
  after: Similarity;
  folded_percent: number;
  log_jacobian_sd: number;
  volume_ratio: number;
  outside_percent: number;
}

export interface Jacobian {
  grid: Grid;
  determinant: Float32Array;
}

export const VOXEL_MM = 2;
const WINDOW = 5;

/** Return a grid of cubic voxels around the brain of a scan. */
export function boxAround(scan: Brain, voxel: number, rim = 8): Grid {
  const low: Vector = [Infinity, Infinity, Infinity];
  const high: Vector = [-Infinity, -Infinity, -Infinity];
  along(scan.grid.shape, scan.grid.affine, (index, ...point) => {
    if (!scan.mask[index]) return;
    for (let axis = 0; axis < 3; axis++) {
      low[axis] = Math.min(low[axis], point[axis]);
      high[axis] = Math.max(high[axis], point[axis]);
    }
  });
  const middle = low.map((value, axis) => (value + high[axis]) / 2) as Vector;
  const shape = low.map((value, axis) =>
    Math.ceil((high[axis] - value + 2 * rim) / voxel),
  ) as Vector;
  return boxed(middle, shape, voxel);
}

/** Measure a registration inside the fixed scan's brain, on voxels of 2 mm. */
export function measured(
  found: Transform,
  moving: Brain,
  fixed: Brain,
  moved: Volume,
): { numbers: Numbers; jacobian: Jacobian } {
  const grid = boxAround(fixed, VOXEL_MM);
  const inside = fetchedMask(fixed.mask, fixed.grid, grid);
  const target = fetched(fixed, grid);
  const follow = follower(found);
  const points = placesOn(grid, follow);
  const still = placesOn(grid, (point) => point);
  const compared = (image: Float32Array, places: Float32Array): Similarity => ({
    ncc: ncc(target, image, inside),
    local_ncc: localNcc(target, image, grid.shape, inside),
    brain_dice: overlap(moving, inside, places),
  });
  const stretch = jacobianOf(points, grid);
  const share = inShares(stretch, inside, moving, points);
  const numbers = {
    before: compared(fetched(moving, grid), still),
    after: compared(fetched(moved, grid), points),
    ...share,
    volume_ratio: determinant(affineOf(found)),
  };
  return { numbers, jacobian: { grid, determinant: stretch } };
}

function placesOn(grid: Grid, follow: (point: Vector) => Vector): Float32Array {
  const places = new Float32Array(3 * size(grid));
  along(grid.shape, grid.affine, (index, x, y, z) => {
    places.set(follow([x, y, z]), 3 * index);
  });
  return places;
}

/** Return by how much a transform stretches the volume around each voxel. */
export function jacobianOf(points: Float32Array, grid: Grid): Float32Array {
  const { shape } = grid;
  const strides = [shape[1] * shape[2], shape[2], 1];
  const whole = determinant(grid.affine);
  const found = new Float32Array(points.length / 3);
  const place = [0, 0, 0];
  for (let index = 0; index < found.length; index++) {
    place[2] = index % shape[2];
    place[1] = Math.floor(index / shape[2]) % shape[1];
    place[0] = Math.floor(index / strides[0]);
    const columns = strides.map((stride, axis) => {
      const up = place[axis] < shape[axis] - 1 ? stride : 0;
      const down = place[axis] > 0 ? stride : 0;
      const [one, two] = [3 * (index - down), 3 * (index + up)];
      const gap = (up + down) / stride;
      return [0, 1, 2].map((i) => (points[two + i] - points[one + i]) / gap);
    });
    found[index] = determinant(columns) / whole;
  }
  return found;
}

function inShares(
  stretch: Float32Array,
  inside: Uint8Array,
  moving: Volume,
  points: Float32Array,
): Pick<Numbers, "folded_percent" | "log_jacobian_sd" | "outside_percent"> {
  const back = inverse(moving.grid.affine);
  let [count, folded, outside, sum, squares] = [0, 0, 0, 0, 0];
  for (let i = 0; i < stretch.length; i++) {
    if (!inside[i]) continue;
    count++;
    if (stretch[i] > 0) {
      const log = Math.log(stretch[i]);
      sum += log;
      squares += log * log;
    } else folded++;
    const place = carried(back, [points[3 * i], points[3 * i + 1], points[3 * i + 2]]);
    if (nearest(moving.grid.shape, ...place) < 0) outside++;
  }
  const upright = count - folded;
  const spread = squares / upright - (sum / upright) ** 2;
  return {
    folded_percent: (100 * folded) / count,
    log_jacobian_sd: Math.sqrt(Math.max(0, spread)),
    outside_percent: (100 * outside) / count,
  };
}

function overlap(moving: Brain, inside: Uint8Array, places: Float32Array): number {
  const back = inverse(moving.grid.affine);
  let [both, total] = [0, 0];
  for (let i = 0; i < inside.length; i++) {
    const place = carried(back, [places[3 * i], places[3 * i + 1], places[3 * i + 2]]);
    const at = nearest(moving.grid.shape, ...place);
    const there = at < 0 ? 0 : moving.mask[at];
    both += there & inside[i];
    total += there + inside[i];
  }
  return (2 * both) / total;
}

/** Return the correlation of two images inside a mask. */
export function ncc(one: Float32Array, two: Float32Array, inside: Uint8Array): number {
  let [count, first, second] = [0, 0, 0];
  for (let i = 0; i < inside.length; i++) {
    if (!inside[i]) continue;
    count++;
    first += one[i];
    second += two[i];
  }
  let [product, left, right] = [0, 0, 0];
  for (let i = 0; i < inside.length; i++) {
    if (!inside[i]) continue;
    const [a, b] = [one[i] - first / count, two[i] - second / count];
    product += a * b;
    left += a * a;
    right += b * b;
  }
  const norm = Math.sqrt(left * right);
  return norm > 1e-12 ? product / norm : 0;
}

/** Return the mean squared correlation in windows of 5 voxels. */
export function localNcc(
  one: Float32Array,
  two: Float32Array,
  shape: Vector,
  inside: Uint8Array,
): number {
  const windows = (value: (i: number) => number) =>
    boxMean(Float64Array.from({ length: one.length }, (_, i) => value(i)), shape);
  const means = [windows((i) => one[i]), windows((i) => two[i])];
  const squares = [windows((i) => one[i] ** 2), windows((i) => two[i] ** 2)];
  const shared = windows((i) => one[i] * two[i]);
  const least = [one, two].map((image) => 1e-6 * Math.max(variance(image), 1e-30));
  let [sum, count] = [0, 0];
  for (let i = 0; i < one.length; i++) {
    if (!inside[i]) continue;
    count++;
    const spreads = [0, 1].map((k) => squares[k][i] - means[k][i] ** 2);
    if (!(spreads[0] > least[0] && spreads[1] > least[1])) continue;
    const product = shared[i] - means[0][i] * means[1][i];
    sum += product ** 2 / (spreads[0] * spreads[1]);
  }
  return sum / count;
}

function variance(image: Float32Array): number {
  let [sum, squares] = [0, 0];
  for (const value of image) {
    sum += value;
    squares += value * value;
  }
  return squares / image.length - (sum / image.length) ** 2;
}

/** Average over windows, an axis after the other; the border is a mirror. */
function boxMean(data: Float64Array, shape: Vector): Float64Array {
  const strides = [shape[1] * shape[2], shape[2], 1];
  const reach = (WINDOW - 1) / 2;
  for (let axis = 0; axis < 3; axis++) {
    const [count, stride] = [shape[axis], strides[axis]];
    const line = new Float64Array(count + 2 * reach);
    for (let start = 0; start < data.length; start++) {
      if (Math.floor(start / stride) % count) continue;
      for (let i = -reach; i < count + reach; i++) {
        const at = i < 0 ? -1 - i : i >= count ? 2 * count - 1 - i : i;
        line[i + reach] = data[start + at * stride];
      }
      for (let i = 0; i < count; i++) {
        let sum = 0;
        for (let step = 0; step < WINDOW; step++) sum += line[i + step];
        data[start + i * stride] = sum / WINDOW;
      }
    }
  }
  return data;
}
