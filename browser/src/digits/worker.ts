/** The networks of the digits, beside the page. */

import * as ort from "onnxruntime-web/wasm";
import { unpacked } from "../assets";
import { Contract, Network, network } from "../network";
import { PIXELS } from "./image";
import type { Answer, Wish } from "./messages";
import { AFFINE, DEFORMING } from "./names";
import { register } from "./register";

const HERE = new URL("./", import.meta.url);
const MODELS = new URL("models/", HERE);
const networks = new Map<string, Promise<Network>>();
let waiting: Wish | null = null;
let busy = true;

self.onmessage = ({ data }: MessageEvent<Wish>) => {
  waiting = data;
  if (!busy) void work();
};

void start().then(work, broken);

/** Answer what was asked last, and leave out what it has overtaken. */
async function work(): Promise<void> {
  busy = true;
  try {
    while (waiting) {
      const wish = waiting;
      waiting = null;
      const begin = performance.now();
      const [rough, fine] = [await loaded(AFFINE), await loaded(wish.model)];
      const found = await register(wish.moving, wish.fixed, rough, fine);
      tell({ kind: "found", milliseconds: performance.now() - begin, ...found });
      // Messages come in between two tasks only.
      await new Promise((next) => setTimeout(next));
    }
  } catch (error) {
    broken(error);
  }
  busy = false;
}

function tell(answer: Answer): void {
  self.postMessage(answer);
}

function broken(error: unknown): void {
  tell({ kind: "broken", text: error instanceof Error ? error.message : String(error) });
}

/** Start ONNX Runtime and one network of each kind; one thread is enough. */
async function start(): Promise<void> {
  const { wasm } = ort.env;
  wasm.numThreads = 1;
  wasm.wasmPaths = { mjs: new URL("ort-wasm-simd-threaded.mjs", HERE).href };
  const binary = await unpacked(new URL("ort-wasm-simd-threaded.wasm.gz", HERE));
  wasm.wasmBinary = binary.buffer as ArrayBuffer;
  // The first run of a program takes long; nobody is to wait for it while drawing.
  const empty = new Float32Array(PIXELS);
  const rough = await loaded(AFFINE);
  for (const { name } of DEFORMING) await register(empty, empty, rough, await loaded(name));
  tell({ kind: "ready" });
}

function loaded(name: string): Promise<Network> {
  const found = networks.get(name) ?? opened(name);
  networks.set(name, found);
  return found;
}

async function opened(name: string): Promise<Network> {
  const answer = await fetch(new URL(`${name}.json`, MODELS));
  if (!answer.ok) throw new Error(`${name} cannot be fetched: ${answer.status}`);
  const contract = (await answer.json()) as Contract;
  return network(ort, name, contract, (file) => unpacked(new URL(`${file}.gz`, MODELS)));
}
