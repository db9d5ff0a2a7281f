/**
 * The same code on the command line of Node, to be held to Python by a test:
 *
 *     node agree-digits.mjs MODELS PAIR NAME
 *
 * PAIR is JSON with `moving` and `fixed`, 32 × 32 numbers each; JSON comes out.
 */

import * as fs from "node:fs/promises";
import * as path from "node:path";
import * as ort from "onnxruntime-web";
import { Contract, network } from "../network";
import { fetched } from "./image";
import { AFFINE } from "./names";
import { register } from "./register";

const [models, pair, name] = process.argv.slice(2);
const bytes = (file: string) => fs.readFile(path.join(models, file));

async function loaded(model: string) {
  const contract: Contract = JSON.parse((await bytes(`${model}.json`)).toString());
  return network(ort, model, contract, async (file) => new Uint8Array(await bytes(file)));
}

const images = JSON.parse(await fs.readFile(pair, "utf8"));
const [moving, fixed] = [images.moving, images.fixed].map((one) => Float32Array.from(one));
const [rough, fine] = [await loaded(AFFINE), await loaded(name)];
const found = await register(moving, fixed, rough, fine);
const begin = performance.now();
for (let count = 0; count < 20; count++) await register(moving, fixed, rough, fine);
const milliseconds = (performance.now() - begin) / 20;
const listed = { affine: found.affine, places: [...found.places], milliseconds };
console.log(JSON.stringify({ ...listed, moved: [...fetched(moving, found.places)] }));
process.exit(0);
