/** Find the brain in a head, as `registration/masks.py` and `inputs.stripped_mask`. */

import { box, centre, Grid, size, voxelVolume } from "./grid";
import { scaled } from "./intensity";
import { spacing, Vector } from "./matrix";
import { Network, outputOf } from "./network";
import { fetched, Volume } from "./volume";
import { WrongInput } from "./wrong";

const LEAST_LITRES = 0.2;
const BRAIN_ML = [300, 2300];
const ZERO_BORDER = 0.75;

/** Return the brain of a scan whose skull was removed, or null for a whole head. */
export function strippedMask({ data, grid }: Volume): Uint8Array | null {
  const [ni, nj, nk] = grid.shape;
  let [border, zero] = [0, 0];
  const look = (i: number, j: number, k: number) => {
    border++;
    if (data[(i * nj + j) * nk + k] === 0) zero++;
  };
  for (let i = 0; i < ni; i++)
    for (let j = 0; j < nj; j++) [0, nk - 1].forEach((k) => look(i, j, k));
  for (let i = 0; i < ni; i++)
    for (let k = 0; k < nk; k++) [0, nj - 1].forEach((j) => look(i, j, k));
  for (let j = 0; j < nj; j++)
    for (let k = 0; k < nk; k++) [0, ni - 1].forEach((i) => look(i, j, k));
  if (zero / border < ZERO_BORDER) return null;
  const brain = filled(where(data, (value) => value !== 0), grid.shape);
  const volume = millilitres(brain, grid);
  return volume >= BRAIN_ML[0] && volume <= BRAIN_ML[1] ? brain : null;
}

/** Mark the voxels of which something is true. */
function where(data: Float32Array, is: (value: number) => boolean): Uint8Array {
  const mask = new Uint8Array(data.length);
  for (let i = 0; i < mask.length; i++) mask[i] = Number(is(data[i]));
  return mask;
}

/** Return how many millilitres a mask holds. */
export function millilitres(mask: Uint8Array, grid: Grid): number {
  let count = 0;
  for (const value of mask) count += value;
  return (count * voxelVolume(grid)) / 1000;
}

/** Ask the network at 2 mm, and read its evidence on the scan's own grid. */
export async function foundMask(scan: Volume, model: Network): Promise<Uint8Array> {
  const grid = lookedAt(scan.grid, model);
  const step = Math.min(...spacing(scan.grid.affine));
  const factor = Math.max(1, Math.round(model.voxel / step - 0.01));
  const seen = fetched(scaled(scan), grid, undefined, [factor, factor, factor]);
  const sure = await outputOf(model, "", "evidence", { image: seen });
  for (let i = 0; i < sure.length; i++) {
    sure[i] = 1 / (1 + Math.exp(-Math.min(9, Math.max(-9, sure[i]))));
  }
  const likely = fetched({ data: sure, grid }, scan.grid);
  const brain = largest(where(likely, (sure) => sure > 0.5), scan.grid.shape);
  const litres = millilitres(brain, scan.grid) / 1000;
  if (litres < LEAST_LITRES) {
    throw new WrongInput(
      "No brain is found in it. It must be a T1-weighted head, or a brain whose " +
        `surroundings are zero (the most brain-like piece has ${litres.toFixed(3)} litres).`,
    );
  }
  return filled(brain, scan.grid.shape);
}

/** Return the network's box; a long neck is left out, not the top of the head. */
function lookedAt(grid: Grid, model: Network): Grid {
  const steps = spacing(grid.affine);
  const middle = centre(grid);
  const room = model.shape[2] * model.voxel;
  middle[2] += Math.max(0, grid.shape[2] * steps[2] - room) / 2;
  return box(middle, model.shape, model.voxel);
}

/** Keep the largest piece of a mask; voxels that share a face are of one piece. */
export function largest(mask: Uint8Array, shape: Vector): Uint8Array {
  const seen = new Uint8Array(mask.length);
  let best: Int32Array = new Int32Array(0);
  for (let start = 0; start < mask.length; start++) {
    if (!mask[start] || seen[start]) continue;
    const piece = flooded(mask, 1, shape, [start], seen);
    if (piece.length > best.length) best = piece;
  }
  const kept = new Uint8Array(mask.length);
  for (const place of best) kept[place] = 1;
  return kept;
}

/** Set what is enclosed on all sides. */
export function filled(mask: Uint8Array, shape: Vector): Uint8Array {
  const [ni, nj, nk] = shape;
  const starts: number[] = [];
  for (let i = 0; i < ni; i++)
    for (let j = 0; j < nj; j++) {
      const edge = i === 0 || j === 0 || i === ni - 1 || j === nj - 1;
      for (let k = 0; k < nk; k += edge ? 1 : nk - 1) {
        const place = (i * nj + j) * nk + k;
        if (!mask[place]) starts.push(place);
      }
    }
  const outside = new Uint8Array(mask.length);
  flooded(mask, 0, shape, starts, outside);
  return outside.map((value) => 1 - value);
}

/** Return all voxels of a value that are reached from some, and mark them. */
function flooded(
  mask: Uint8Array,
  value: number,
  [ni, nj, nk]: Vector,
  starts: number[],
  seen: Uint8Array,
): Int32Array {
  let found = new Int32Array(Math.max(1024, starts.length * 2));
  let count = 0;
  const add = (place: number) => {
    if (seen[place] || mask[place] !== value) return;
    seen[place] = 1;
    if (count === found.length) {
      const longer = new Int32Array(2 * count);
      longer.set(found);
      found = longer;
    }
    found[count++] = place;
  };
  starts.forEach(add);
  for (let next = 0; next < count; next++) {
    const place = found[next];
    const k = place % nk;
    const j = ((place - k) / nk) % nj;
    const i = (place - k - nk * j) / (nj * nk);
    if (i > 0) add(place - nj * nk);
    if (i < ni - 1) add(place + nj * nk);
    if (j > 0) add(place - nk);
    if (j < nj - 1) add(place + nk);
    if (k > 0) add(place - 1);
    if (k < nk - 1) add(place + 1);
  }
  return found.slice(0, count);
}

/** Set everything outside a mask to zero. */
export function cutOut(scan: Volume, mask: Uint8Array): Volume {
  const data = new Float32Array(size(scan.grid));
  for (let i = 0; i < data.length; i++) data[i] = mask[i] ? scan.data[i] : 0;
  return { data, grid: scan.grid };
}
