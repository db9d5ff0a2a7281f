/** How much memory a registration takes, known before it starts. */

import { Header } from "./header";

/** ONNX Runtime with its networks, measured. */
const RUNTIME_MB = 700;
/** Reading, masks and cut-out of a scan; the fixed one's grid also holds what is moved. */
const BYTES = { moving: 24, fixed: 40 };

/** Return about how many megabytes it takes. */
export function megabytes(moving: Header, fixed: Header): number {
  const voxels = ({ shape }: Header) => shape[0] * shape[1] * shape[2];
  const bytes = BYTES.moving * voxels(moving) + BYTES.fixed * voxels(fixed);
  return Math.ceil((RUNTIME_MB + bytes / 2 ** 20) / 50) * 50;
}
