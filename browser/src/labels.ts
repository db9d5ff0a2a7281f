/** A label map of the moving scan, as `nifti.load_labels`, carried by the nearest voxel. */

import { Grid, sameGrid, size } from "./grid";
import { inverse } from "./matrix";
import type { Input } from "./pair";
import { Scan, volume } from "./reading";
import { follower, Transform } from "./transform";
import { along, nearest } from "./volume";
import { WrongInput } from "./wrong";

const MOST = 2 ** 24;

/** Read a label map that lies on the grid of a scan. */
export async function labelMap({ file, name }: Input, like: Scan): Promise<Int32Array> {
  const { data, grid } = await volume(file, name);
  if (!sameGrid(grid, like.grid)) {
    throw new WrongInput(
      `${name}: Its grid is not that of ${like.name}. Choose the label map that was ` +
        "drawn on this scan, or bring it onto the scan's grid first.",
    );
  }
  const wrong = data.find((value) => value < 0 || value > MOST || value % 1 !== 0);
  if (wrong !== undefined) {
    throw new WrongInput(
      `${name}: Labels are whole numbers from 0 up; it holds ${wrong}. Choose a label ` +
        "map, not an image.",
    );
  }
  if (!data.some(Boolean)) throw new WrongInput(`${name}: No voxel is labelled.`);
  return Int32Array.from(data);
}

/** Bring the labels of a moving scan onto a grid of the fixed world. */
export function carriedLabels(
  labels: Int32Array,
  from: Grid,
  found: Transform,
  grid: Grid,
): Int32Array {
  const follow = follower([...found, inverse(from.affine)]);
  const out = new Int32Array(size(grid));
  along(grid.shape, grid.affine, (index, x, y, z) => {
    const place = nearest(from.shape, ...follow([x, y, z]));
    if (place >= 0) out[index] = labels[place];
  });
  return out;
}
