/**
 * The same code on the command line of Node, to be held to Python by a test:
 *
 *     node agree.mjs MODELS MOVING FIXED OUT [affine] [refine]
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
import { follower } from "./transform";
import { affineFile, volumeFile, warpFile } from "./writing";

const [models, moving, fixed, out, ...words] = process.argv.slice(2);

async function input(file: string): Promise<Input> {
  return { file: new Blob([new Uint8Array(await fs.readFile(file))]), name: path.basename(file) };
}

async function stored(file: string, blob: Blob | string): Promise<void> {
  const data = typeof blob === "string" ? blob : Buffer.from(await blob.arrayBuffer());
  await fs.writeFile(path.join(out, file), data);
}

async function main(): Promise<void> {
  const load = async (file: string) => new Uint8Array(await fs.readFile(path.join(models, file)));
  const options = {
    kind: words.includes("affine") ? ("affine" as const) : ("dense" as const),
    refine: words.includes("refine"),
  };
  const result = await register(await input(moving), await input(fixed), options, (name) =>
    network(ort, name, contracts[name], load),
  );
  const points: Vector[] = JSON.parse(await fs.readFile(path.join(out, "points.json"), "utf8"));
  const { verdict, numbers, seconds, warnings, masksFrom } = result;
  await stored("moved.nii.gz", await volumeFile(result.moved, result.fixed));
  await stored("warp.nii.gz", await warpFile(result.found, result.fixed));
  await stored("affine.tfm", affineFile(result.found));
  await stored("brain.nii.gz", await volumeFile(Float32Array.from(result.moving.mask!), result.moving));
  const carried = points.map(follower(result.found));
  await stored(
    "registration.json",
    JSON.stringify({ verdict, numbers, seconds, warnings, masksFrom, carried }),
  );
}

await main();
process.exit(0);
