/**
 * The same code on the command line of Node, to be held to Python by a test:
 *
 *     node agree.mjs register MODELS MOVING FIXED OUT [affine] [refine] [LABELS.nii]
 *     node agree.mjs read FILE OUT
 *
 * OUT/points.json lists points of the fixed world; results are written beside it.
 */

import * as fs from "node:fs/promises";
import * as path from "node:path";
import * as ort from "onnxruntime-web";
import { contracts } from "./contracts";
import { Vector } from "./matrix";
import { network } from "./network";
import { Input, register } from "./pair";
import { scan } from "./reading";
import { follower, returner } from "./transform";
import { affineFile, volumeFile, warpFile } from "./writing";
import { WrongInput } from "./wrong";

const [command, ...words] = process.argv.slice(2);

async function input(file: string): Promise<Input> {
  return { file: new Blob([new Uint8Array(await fs.readFile(file))]), name: path.basename(file) };
}

async function stored(out: string, file: string, blob: Blob | string): Promise<void> {
  const data = typeof blob === "string" ? blob : Buffer.from(await blob.arrayBuffer());
  await fs.writeFile(path.join(out, file), data);
}

async function registered([models, moving, fixed, out, ...wishes]: string[]): Promise<void> {
  const load = async (file: string) => new Uint8Array(await fs.readFile(path.join(models, file)));
  const drawn = wishes.find((wish) => wish.endsWith(".nii"));
  const options = {
    labels: drawn ? await input(drawn) : undefined,
    kind: wishes.includes("affine") ? ("affine" as const) : ("dense" as const),
    refine: wishes.includes("refine"),
  };
  const result = await register(await input(moving), await input(fixed), options, (name) =>
    network(ort, name, contracts[name], load),
  );
  const points: Vector[] = JSON.parse(await fs.readFile(path.join(out, "points.json"), "utf8"));
  const { verdict, numbers, seconds, warnings, masksFrom, jacobian } = result;
  const brain = Float32Array.from(result.moving.mask!);
  await stored(out, "moved.nii.gz", await volumeFile(result.moved, result.fixed));
  await stored(out, "brain.nii.gz", await volumeFile(brain, result.moving));
  if (result.labels) {
    await stored(out, "labels.nii.gz", await volumeFile(result.labels, result.fixed));
  }
  await stored(out, "warp.nii.gz", await warpFile(result.found, result.fixed));
  await stored(out, "affine.tfm", affineFile(result.found));
  const carried = points.map(follower(result.found));
  const back = carried.map(returner(result.found));
  const record = { verdict, numbers, seconds, warnings, masksFrom, carried, back };
  const stretch = jacobian.determinant.reduce((sum, value) => sum + value, 0);
  await stored(out, "registration.json", JSON.stringify({ ...record, stretch }));
}

/** Write what is read: the voxels as they lie in memory, and where they lie. */
async function readOnly([file, out]: string[]): Promise<void> {
  const { file: blob, name } = await input(file);
  try {
    const { data, grid } = await scan(blob, name);
    await stored(out, "voxels.bin", new Blob([data as Float32Array<ArrayBuffer>]));
    await stored(out, "grid.json", JSON.stringify(grid));
  } catch (error) {
    if (!(error instanceof WrongInput)) throw error;
    await stored(out, "wrong.txt", error.message);
  }
}

await (command === "read" ? readOnly(words) : registered(words));
process.exit(0);
