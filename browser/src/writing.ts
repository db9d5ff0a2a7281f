/** The files that are offered: volumes as NIfTI, and the transform as ITK reads it. */

import { Grid, shear, size } from "./grid";
import { determinant, linear, Matrix, product, rotation, spacing } from "./matrix";
import { inFileOrder } from "./orientation";
import type { Scan } from "./reading";
import { affineOf, displacementOn, Transform } from "./transform";
import { WrongInput } from "./wrong";

const START = 352;
const FLOAT32 = 16;
const INT32 = 8;
const VECTOR = 1007;
/** A displacement is rounded to such parts of a millimetre. */
const STEPS_PER_MM = 4096;
const LPS: Matrix = [[-1, 0, 0, 0], [0, -1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]];

/** What a file of one number a voxel holds: intensities, or labels. */
export type Voxels = Float32Array | Int32Array;

/** Return a volume on a scan's grid as a file whose axes run as in the scan's own. */
export function volumeFile(data: Voxels, onto: Scan): Promise<Blob> {
  return packed(volumeBytes(data, onto));
}

/** Return the same before it is packed. */
export function volumeBytes(data: Voxels, onto: Scan): ArrayBuffer {
  const { grid, turn } = onto.stored;
  const bytes = new ArrayBuffer(START + 4 * data.length);
  const whole = data instanceof Int32Array;
  const voxels = whole ? new Int32Array(bytes, START) : new Float32Array(bytes, START);
  inFileOrder(grid.shape, turn, (file, turned) => (voxels[file] = data[turned]));
  writeHeader(bytes, grid, grid.shape, 0, whole ? INT32 : FLOAT32);
  return bytes;
}

/** Return the displacement of a whole chain on the grid of a scan's file, in LPS mm. */
export function warpFile(found: Transform, onto: Scan): Promise<Blob> {
  const { grid } = onto.stored;
  if (shear(grid) > 1e-4) {
    throw new WrongInput("Its sform shears the fixed scan, which ITK cannot: no warp.");
  }
  const vectors = displacementOn(found, grid);
  const count = size(grid);
  const bytes = new ArrayBuffer(START + 12 * count);
  const voxels = new Float32Array(bytes, START);
  const turn = { axes: [0, 1, 2] as [number, number, number], flipped: still() };
  inFileOrder(grid.shape, turn, (file, index) => {
    for (let axis = 0; axis < 3; axis++) {
      const value = (axis < 2 ? -1 : 1) * vectors[3 * index + axis];
      voxels[axis * count + file] = Math.round(value * STEPS_PER_MM) / STEPS_PER_MM;
    }
  });
  writeHeader(bytes, grid, [...grid.shape, 1, 3], VECTOR);
  return packed(bytes);
}

/** Return the affine as ITK's text. */
export function affineFile(found: Transform): string {
  const lps = product(LPS, affineOf(found), LPS);
  const numbers = [...linear(lps).flat(), ...[0, 1, 2].map((row) => lps[row][3])];
  return (
    "#Insight Transform File V1.0\n#Transform 0\n" +
    "Transform: AffineTransform_double_3_3\n" +
    `Parameters: ${numbers.join(" ")}\nFixedParameters: 0 0 0\n`
  );
}

/** Pack bytes as gzip. */
export function packed(bytes: ArrayBuffer): Promise<Blob> {
  const pack = new CompressionStream("gzip") as unknown as TransformStream;
  return new Response(new Blob([bytes]).stream().pipeThrough(pack)).blob();
}

function still(): [boolean, boolean, boolean] {
  return [false, false, false];
}

function writeHeader(
  bytes: ArrayBuffer,
  grid: Grid,
  shape: number[],
  intent: number,
  type = FLOAT32,
): void {
  const view = new DataView(bytes);
  const short = (at: number, value: number) => view.setInt16(at, value, true);
  const float = (at: number, value: number) => view.setFloat32(at, value, true);
  view.setInt32(0, 348, true);
  [shape.length, ...shape].forEach((value, i) => short(40 + 2 * i, value));
  for (let i = shape.length + 1; i < 8; i++) short(40 + 2 * i, 1);
  short(68, intent);
  short(70, type);
  short(72, 32);
  const { factor, quaternion } = turnOf(grid.affine);
  [factor, ...spacing(grid.affine), 1, 1, 1, 1].forEach((v, i) => float(76 + 4 * i, v));
  float(108, START);
  float(112, 1);
  view.setUint8(123, 2);
  short(252, 1);
  short(254, 1);
  const origin = [0, 1, 2].map((row) => grid.affine[row][3]);
  [...quaternion, ...origin].forEach((value, i) => float(256 + 4 * i, value));
  grid.affine.slice(0, 3).flat().forEach((value, i) => float(280 + 4 * i, value));
  [0x6e, 0x2b, 0x31, 0].forEach((value, i) => view.setUint8(344 + i, value));
}

/** Return the rotation of a grid as NIfTI's qform has it. */
function turnOf(affine: Matrix): { factor: number; quaternion: number[] } {
  const factor = determinant(affine) < 0 ? -1 : 1;
  const r = rotation(affine.map((row) => row.map((v, j) => (j === 2 ? factor * v : v))));
  const squares = [
    1 + r[0][0] + r[1][1] + r[2][2],
    1 + r[0][0] - r[1][1] - r[2][2],
    1 - r[0][0] + r[1][1] - r[2][2],
    1 - r[0][0] - r[1][1] + r[2][2],
  ];
  const best = squares.indexOf(Math.max(...squares));
  const four = 2 * Math.sqrt(squares[best]);
  const [x, y, z] = [r[2][1] - r[1][2], r[0][2] - r[2][0], r[1][0] - r[0][1]];
  const [xy, xz, yz] = [r[0][1] + r[1][0], r[0][2] + r[2][0], r[1][2] + r[2][1]];
  const rows = [[0, x, y, z], [x, 0, xy, xz], [y, xy, 0, yz], [z, xz, yz, 0]];
  const all = rows[best].map((v, i) => (i === best ? four / 4 : v / four));
  return { factor, quaternion: all.slice(1).map((v) => (all[0] < 0 ? -v : v)) };
}
