/** All that takes time, beside the page: registering, and packing of large files. */

import type * as Ort from "onnxruntime-web";
import { program } from "./assets";
import { contracts } from "./contracts";
import type { Answer, Wish } from "./messages";
import { Network, network } from "./network";
import { register } from "./pair";
import { runtime } from "./runtime";
import { volumeFile, warpFile } from "./writing";
import { WrongInput } from "./wrong";

const HERE = new URL("./", import.meta.url);
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
  const { moving, fixed, options, device } = wish;
  const ort = await runtime(device, HERE);
  const load = (name: string) => loaded(ort, name, device === "card");
  try {
    const result = await register(moving, fixed, options, load, (stage, share) =>
      tell({ kind: "stage", stage, share }),
    );
    return { kind: "found", result, threads: ort.env.wasm.numThreads ?? 1 };
  } catch (error) {
    if (device !== "card" || error instanceof WrongInput) throw error;
    throw new WrongInput(
      "The graphics card gave up. Choose the processor and register again. " +
        `(${(error as Error).message})`,
    );
  }
}

function loaded(ort: typeof Ort, name: string, card: boolean): Network {
  let found = networks.get(name);
  if (!found) {
    const folder = new URL("models/", HERE);
    found = network(ort, name, contracts[name], (file) => program(file, folder), card);
    networks.set(name, found);
  }
  return found;
}
