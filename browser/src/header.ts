/** The header of a NIfTI file, and the refusal of those that cannot be trusted. */

import * as nifti from "nifti-reader-js";
import { determinant, identity, linear, Matrix, spacing, Vector } from "./matrix";
import { WrongInput } from "./wrong";

export interface Header {
  shape: Vector;
  /** From stored voxels to RAS millimetres. */
  affine: Matrix;
  /** Code of the type of the stored voxels. */
  type: number;
  bytes: number;
  little: boolean;
  /** Byte at which the voxels begin. */
  first: number;
  slope: number;
  intercept: number;
}

export const HEADER_BYTES = 540;
const BYTES: Record<number, number> = {
  2: 1, 4: 2, 8: 4, 16: 4, 64: 8, 256: 1, 512: 2, 768: 4, 1024: 8, 1280: 8,
};
const UNREAL: Record<number, string> = {
  1: "bits", 32: "complex numbers", 128: "colours", 1536: "128-bit numbers",
  1792: "complex numbers", 2048: "complex numbers", 2304: "colours",
};
const MILLIMETRES: Record<number, number> = { 0: 1, 1: 1000, 2: 1, 3: 0.001 };
const CONVERT = "Convert the scan to NIfTI first, for example by dcm2niix.";

/** Read and check a header; the error says what the owner of the file can do. */
export function parsed(start: ArrayBuffer): Header {
  if (!nifti.isNIFTI(start)) {
    if (start.byteLength >= 348 && nifti.isNIFTI(start, true)) {
      throw new WrongInput(
        "This is the header of a .hdr/.img pair. Convert the pair to one .nii file.",
      );
    }
    throw new WrongInput(`This is not a NIfTI file. ${CONVERT}`);
  }
  const raw = nifti.readHeader(start);
  const shape = checkedShape(raw.dims.map(Number));
  const bytes = checkedType(raw.datatypeCode, raw.numBitsPerVoxel);
  const first = Number(raw.vox_offset);
  if (!(first >= 0 && first <= 2 ** 31 && Number.isInteger(first))) {
    throw new WrongInput(`Its header says that the voxels begin at byte ${first}.`);
  }
  const [slope, intercept] = scaling(raw.scl_slope, raw.scl_inter);
  const two = raw instanceof nifti.NIFTI2;
  return {
    shape, bytes, slope, intercept,
    affine: checkedAffine(affineOf(raw, start, two, shape)),
    type: raw.datatypeCode,
    little: raw.littleEndian,
    first: Math.max(first, two ? 544 : 352),
  };
}

function checkedShape(dims: number[]): Vector {
  const count = dims[0];
  if (!(count >= 1 && count <= 7)) {
    throw new WrongInput(`Its header promises ${count} axes, and is damaged.`);
  }
  const shape = dims.slice(1, count + 1);
  const text = shape.join(" × ");
  if (Math.min(...shape) < 1) throw new WrongInput(`An axis is empty: ${text} voxels.`);
  if (shape.slice(3).some((size) => size > 1)) {
    throw new WrongInput(
      `It holds more than one volume (${text}). Take one volume out of the series ` +
        "first; the command line can move a whole series.",
    );
  }
  if (shape.length < 3 || Math.min(...shape.slice(0, 3)) < 2) {
    throw new WrongInput(`It is a slice (${text}), not a volume. Choose a 3D scan.`);
  }
  return shape.slice(0, 3) as Vector;
}

function checkedType(code: number, bits: number): number {
  if (code in UNREAL || !(code in BYTES)) {
    throw new WrongInput(
      `Its voxels are ${UNREAL[code] ?? `of the unknown type ${code}`}. ` +
        "Convert them to plain numbers first.",
    );
  }
  if (bits !== 8 * BYTES[code]) {
    throw new WrongInput(`Its header is damaged: ${bits} bits do not fit the type.`);
  }
  return BYTES[code];
}

function scaling(slope: number, intercept: number): [number, number] {
  if (slope === 0 || Number.isNaN(slope)) return [1, 0];
  if (Number.isFinite(slope) && Number.isFinite(intercept)) return [slope, intercept];
  throw new WrongInput(`Its slope ${slope} and intercept ${intercept} are no numbers.`);
}

type Raw = nifti.NIFTI1 | nifti.NIFTI2;

/** Return the sform where it is set, else the qform, else the voxel sizes alone. */
function affineOf(raw: Raw, start: ArrayBuffer, two: boolean, shape: Vector): Matrix {
  const unit = MILLIMETRES[raw.xyzt_units & 7];
  if (unit === undefined) throw new WrongInput("Its unit of length is unknown.");
  const sizes = raw.pixDims.slice(1, 4).map(Math.abs);
  if (!sizes.every((size) => Number.isFinite(size) && size > 0)) {
    throw new WrongInput("A voxel size in its header is zero or no number.");
  }
  let matrix: Matrix;
  if (raw.sform_code > 0) matrix = sform(start, two, raw.littleEndian);
  else if (raw.qform_code > 0) matrix = qform(raw, sizes);
  else {
    matrix = identity();
    sizes.forEach((size, axis) => {
      matrix[axis][axis] = axis ? size : -size;
      matrix[axis][3] = (-matrix[axis][axis] * (shape[axis] - 1)) / 2;
    });
  }
  return matrix.map((row, i) => (i < 3 ? row.map((value) => value * unit) : row));
}

function sform(start: ArrayBuffer, two: boolean, little: boolean): Matrix {
  const view = new DataView(start);
  const at = (place: number) =>
    two ? view.getFloat64(400 + 8 * place, little) : view.getFloat32(280 + 4 * place, little);
  const rows = [0, 1, 2].map((i) => [0, 1, 2, 3].map((j) => at(4 * i + j)));
  return [...rows, [0, 0, 0, 1]];
}

function qform(raw: Raw, sizes: number[]): Matrix {
  const [b, c, d] = [raw.quatern_b, raw.quatern_c, raw.quatern_d];
  const a = Math.sqrt(Math.max(0, 1 - b * b - c * c - d * d));
  const turn = [
    [a * a + b * b - c * c - d * d, 2 * (b * c - a * d), 2 * (b * d + a * c)],
    [2 * (b * c + a * d), a * a + c * c - b * b - d * d, 2 * (c * d - a * b)],
    [2 * (b * d - a * c), 2 * (c * d + a * b), a * a + d * d - b * b - c * c],
  ];
  const scale = [sizes[0], sizes[1], raw.pixDims[0] < 0 ? -sizes[2] : sizes[2]];
  const origin = [raw.qoffset_x, raw.qoffset_y, raw.qoffset_z];
  const rows = turn.map((row, i) => [...row.map((v, j) => v * scale[j]), origin[i]]);
  return [...rows, [0, 0, 0, 1]];
}

function checkedAffine(matrix: Matrix): Matrix {
  const sides = spacing(matrix);
  const unit = linear(matrix).map((row) => row.map((v, j) => v / (sides[j] || 1)));
  if (!matrix.flat().every(Number.isFinite) || Math.abs(determinant(unit)) < 1e-3) {
    throw new WrongInput(
      "Its header does not say where the voxels lie: the affine is singular.",
    );
  }
  if (Math.min(...sides) < 0.01 || Math.max(...sides) > 100) {
    const text = sides.map((side) => side.toPrecision(3)).join(" × ");
    throw new WrongInput(
      `Its voxels would measure ${text} mm. Correct the unit or the sizes in its header.`,
    );
  }
  return matrix;
}
