/** What each stored network must be given, from its own file. */

import affine from "../../models/affine_t1.json";
import brain from "../../models/brain.json";
import dense from "../../models/dense_t1.json";
import { Contract } from "./network";

export const contracts: Record<string, Contract> = {
  affine_t1: affine,
  brain,
  dense_t1: dense,
};

/** The sha256 of every program. */
export const hashes: Record<string, string> = Object.assign(
  {},
  ...[affine, brain, dense].map((one) => one.onnx_sha256),
);

