/** Two drawn digits in, places out: an affine, then a deformation, by networks. */

import { Network, outputOf } from "../network";
import { fetched, PIXELS, SIDE } from "./image";

export interface Registered {
  /** Rows of the affine in centred coordinates, see helpers/affines.py. */
  affine: number[];
  /** Where each pixel is read in the moving picture, by the affine alone. */
  affinePlaces: Float32Array;
  /** The same by the deformation and then the affine. */
  places: Float32Array;
}

/** Register a moving picture to a fixed one. */
export async function register(
  moving: Float32Array,
  fixed: Float32Array,
  rough: Network,
  fine: Network,
): Promise<Registered> {
  const numbers = await outputOf(rough, "", "transform", { moving, fixed });
  const affine = Array.from(numbers);
  const still = new Float32Array(2 * PIXELS);
  const affinePlaces = carried(affine, still);
  const aligned = fetched(moving, affinePlaces);
  const velocity = await outputOf(fine, "", "velocity", { moving: aligned, fixed });
  const displacement = await outputOf(fine, ".field", "there", { velocity });
  return { affine, affinePlaces, places: carried(affine, displacement) };
}

/** Displace every pixel, then carry it through an affine: one reading for both. */
function carried(affine: number[], displacement: Float32Array): Float32Array {
  const [a, b, c, d, e, f] = affine;
  const half = SIDE / 2;
  const middle = (SIDE - 1) / 2;
  const places = new Float32Array(2 * PIXELS);
  for (let p = 0; p < PIXELS; p++) {
    const y = (Math.floor(p / SIDE) + displacement[2 * p] - middle) / half;
    const x = ((p % SIDE) + displacement[2 * p + 1] - middle) / half;
    places[2 * p] = (a * y + b * x + c) * half + middle;
    places[2 * p + 1] = (d * y + e * x + f) * half + middle;
  }
  return places;
}
