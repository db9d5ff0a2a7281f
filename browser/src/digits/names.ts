/** The networks of the digits: `models/train_digits.py`. */

export const AFFINE = "digits_affine";

/** Those that deform, loosest first, by the weight of their smoothness. */
export const DEFORMING = [
  { name: "digits_loose", weight: 0.01 },
  { name: "digits_even", weight: 0.1 },
  { name: "digits_stiff", weight: 1 },
];
