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
/** Windows of 5 voxels. */
const REACH = 2;

/** Return a grid of cubic voxels around the brain of a scan. */
export function boxAround(scan: Brain, voxel: number, rim = 8): Grid {
  const low: Vector = [Infinity, Infinity, Infinity];
  const high: Vector = [-Infinity, -Infinity, -Infinity];
  along(scan.grid.shape, scan.grid.affine, (index, x, y, z) => {
    if (!scan.mask[index]) return;
    const point = [x, y, z];
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
  const target = windows(fetched(fixed, grid), grid.shape);
  const follow = follower(found);
  const points = placesOn(grid, follow);
  const still = placesOn(grid, (point) => point);
  const compared = (image: Float32Array, places: Float32Array): Similarity => ({
    ncc: ncc(target.image, image, inside),
    local_ncc: localNcc(target, windows(image, grid.shape), inside),
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

/** Means and squares of an image in windows of 5 voxels. */
export interface Windows {
  image: Float32Array;
  shape: Vector;
  mean: Float64Array;
  square: Float64Array;
  /** The least spread that counts as one. */
  least: number;
}

/** Average an image and its square over windows. */
export function windows(image: Float32Array, shape: Vector): Windows {
  const mean = boxMean(times(image, null), shape);
  const square = boxMean(times(image, image), shape);
  return { image, shape, mean, square, least: 1e-6 * Math.max(variance(image), 1e-30) };
}

/** Return the mean squared correlation in windows whose centres are inside. */
export function localNcc(one: Windows, two: Windows, inside: Uint8Array): number {
  const shared = boxMean(times(one.image, two.image), one.shape);
  let [sum, count] = [0, 0];
  for (let i = 0; i < inside.length; i++) {
    if (!inside[i]) continue;
    count++;
    const left = one.square[i] - one.mean[i] ** 2;
    const right = two.square[i] - two.mean[i] ** 2;
    if (!(left > one.least && right > two.least)) continue;
    sum += (shared[i] - one.mean[i] * two.mean[i]) ** 2 / (left * right);
  }
  return sum / count;
}

function times(one: Float32Array, two: Float32Array | null): Float64Array {
  const found = new Float64Array(one);
  if (two) for (let i = 0; i < found.length; i++) found[i] *= two[i];
  return found;
}

function variance(image: Float32Array): number {
  let [sum, squares] = [0, 0];
  for (const value of image) {
    sum += value;
    squares += value * value;
  }
  return squares / image.length - (sum / image.length) ** 2;
}

/** Average over windows in place, an axis after the other; the border is a mirror. */
function boxMean(data: Float64Array, shape: Vector): Float64Array {
  const strides = [shape[1] * shape[2], shape[2], 1];
  for (let axis = 0; axis < 3; axis++) {
    const [count, stride] = [shape[axis], strides[axis]];
    const line = new Float64Array(count + 2 * REACH);
    for (let first = 0; first < data.length; first += count * stride) {
      for (let start = first; start < first + stride; start++) {
        lineMean(data, start, stride, line);
      }
    }
  }
  return data;
}

function lineMean(data: Float64Array, start: number, stride: number, line: Float64Array): void {
  const count = line.length - 2 * REACH;
  for (let i = -REACH; i < count + REACH; i++) {
    const at = i < 0 ? -1 - i : i >= count ? 2 * count - 1 - i : i;
    line[i + REACH] = data[start + at * stride];
  }
  for (let i = 0; i < count; i++) {
    const sum = line[i] + line[i + 1] + line[i + 2] + line[i + 3] + line[i + 4];
    data[start + i * stride] = sum / (2 * REACH + 1);
  }
}
