/** All that takes time, beside the page: registering, and packing of large files. */

import * as ort from "onnxruntime-web/wasm";
import { program, unpacked } from "./assets";
import { contracts } from "./contracts";
import type { Answer, Wish } from "./messages";
import { Network, network } from "./network";
import { register } from "./pair";
import { volumeFile, warpFile } from "./writing";
import { WrongInput } from "./wrong";

const HERE = new URL("./", import.meta.url);
const MOST_THREADS = 4;
const networks = new Map<string, Network>();

self.onmessage = async ({ data }: MessageEvent<Wish>) => {
  try {
    tell(await answer(data));
  } catch (error) {
    const text = error instanceof Error ? error.message : String(error);
    tell({ kind: error instanceof WrongInput ? "wrong" : "broken", text });
  }
};

function tell(message: Answer): void {
  self.postMessage(message);
}

async function answer(wish: Wish): Promise<Answer> {
  if (wish.kind === "volume") return { kind: "file", blob: await volumeFile(wish.data, wish.onto) };
  if (wish.kind === "warp") return { kind: "file", blob: await warpFile(wish.found, wish.onto) };
  const { moving, fixed, options } = wish;
  await start();
  const result = await register(moving, fixed, options, loaded, (stage, share) =>
    tell({ kind: "stage", stage, share }),
  );
  return { kind: "found", result, threads: ort.env.wasm.numThreads ?? 1 };
}

/** Start ONNX Runtime: several threads where the page is isolated, one elsewhere. */
async function start(): Promise<void> {
  const { wasm } = ort.env;
  const most = Math.min(MOST_THREADS, navigator.hardwareConcurrency);
  wasm.numThreads = self.crossOriginIsolated ? most : 1;
  wasm.wasmPaths = { mjs: new URL("ort-wasm-simd-threaded.mjs", HERE).href };
  const binary = await unpacked(new URL("ort-wasm-simd-threaded.wasm.gz", HERE));
  wasm.wasmBinary = binary.buffer as ArrayBuffer;
}

function loaded(name: string): Network {
  let found = networks.get(name);
  if (!found) {
    const folder = new URL("models/", HERE);
    found = network(ort, name, contracts[name], (file) => program(file, folder));
    networks.set(name, found);
  }
  return found;
}
