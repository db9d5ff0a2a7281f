/** Intensities: what becomes black and white, as `registration/scans/intensity.py`. */

import { carried, Vector } from "./matrix";
import { Volume } from "./volume";
import { WrongInput } from "./wrong";

const BRIGHT = 99.5;
const DARK = 1;
const BINS = 256;

/** Scale intensities to [0, 1], beyond the window cut off. */
export function scaled(volume: Volume): Volume {
  const [dark, bright] = window(volume);
  const data = new Float32Array(volume.data.length);
  const range = bright - dark;
  for (let i = 0; i < data.length; i++) {
    data[i] = Math.min(1, Math.max(0, (volume.data[i] - dark) / range));
  }
  return { data, grid: volume.grid };
}

/** Return the centre of mass in RAS mm, the intensities being the mass. */
export function barycentre({ data, grid }: Volume): Vector {
  let mass = 0;
  const sums: Vector = [0, 0, 0];
  let index = 0;
  for (let i = 0; i < grid.shape[0]; i++) {
    for (let j = 0; j < grid.shape[1]; j++) {
      let row = 0;
      for (let k = 0; k < grid.shape[2]; k++) {
        row += data[index];
        sums[2] += data[index++] * k;
      }
      mass += row;
      sums[0] += row * i;
      sums[1] += row * j;
    }
  }
  return carried(grid.affine, sums.map((sum) => sum / mass) as Vector);
}

/** Return the two intensities that become 0 and 1. */
export function window(volume: Volume): [number, number] {
  const some = thinned(volume).sort();
  let dark = percentile(some, DARK);
  const threshold = otsu(some);
  const head = some.subarray(some.findIndex((value) => value > threshold));
  const bright = some[some.length - 1] > threshold ? percentile(head, BRIGHT) : dark;
  if (bright > dark) return [dark, bright];
  let low = Infinity;
  let high = -Infinity;
  for (const value of volume.data) {
    low = Math.min(low, value);
    high = Math.max(high, value);
  }
  if (!(high > low)) {
    throw new WrongInput("Every voxel of the scan has the same value.");
  }
  return [low, high];
}

/** Take every n-th voxel along each axis, so that some 200,000 are left. */
function thinned({ data, grid }: Volume): Float32Array {
  const step = Math.max(1, Math.floor(Math.cbrt(data.length / 200_000)));
  const [ni, nj, nk] = grid.shape;
  const found: number[] = [];
  for (let i = 0; i < ni; i += step)
    for (let j = 0; j < nj; j += step)
      for (let k = 0; k < nk; k += step) found.push(data[(i * nj + j) * nk + k]);
  return Float32Array.from(found);
}

/** Return a percentile of sorted values, linear between two of them. */
export function percentile(sorted: Float32Array, percent: number): number {
  const place = (percent / 100) * (sorted.length - 1);
  const low = Math.floor(place);
  const next = Math.min(low + 1, sorted.length - 1);
  return sorted[low] + (sorted[next] - sorted[low]) * (place - low);
}

/** Return the threshold that splits sorted values into the two tightest classes. */
export function otsu(sorted: Float32Array): number {
  const low = sorted[0];
  let top = percentile(sorted, 99.9);
  if (!(top > low)) top = sorted[sorted.length - 1];
  const width = (top - low) / BINS || 1 / BINS;
  const counts = new Float64Array(BINS);
  for (const value of sorted) {
    const bin = Math.floor((Math.min(value, top) - low) / width);
    counts[Math.min(BINS - 1, bin)]++;
  }
  return split(counts, low, width);
}

function split(counts: Float64Array, low: number, width: number): number {
  const centre = (bin: number) => low + (bin + 0.5) * width;
  const total = counts.reduce((sum, count) => sum + count, 0);
  const whole = counts.reduce((sum, count, bin) => sum + count * centre(bin), 0);
  let [below, mass, best, found] = [0, 0, -1, 0];
  for (let bin = 0; bin < BINS - 1; bin++) {
    below += counts[bin];
    mass += counts[bin] * centre(bin);
    const above = total - below;
    const gap = (whole - mass) / Math.max(above, 1) - mass / Math.max(below, 1);
    const between = below * above * gap ** 2;
    if (between > best) [best, found] = [between, bin];
  }
  return low + (found + 1) * width;
}
