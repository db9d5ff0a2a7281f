/** ONNX Runtime: its networks on the graphics card where that is wished for. */

import type * as Ort from "onnxruntime-web";
import { unpacked } from "./assets";
import type { Device } from "./pair";

const MOST_THREADS = 4;

interface Adapter {
  info: { isFallbackAdapter?: boolean };
}

/** Start ONNX Runtime: several threads where the page is isolated, one elsewhere. */
export async function runtime(device: Device, here: URL): Promise<typeof Ort> {
  const card = device === "card";
  const ort = (card
    ? await import("onnxruntime-web/jspi")
    : await import("onnxruntime-web/wasm")) as typeof Ort;
  const name = `ort-wasm-simd-threaded${card ? ".jspi" : ""}`;
  const { wasm } = ort.env;
  const most = Math.min(MOST_THREADS, navigator.hardwareConcurrency);
  wasm.numThreads = self.crossOriginIsolated ? most : 1;
  wasm.wasmPaths = { mjs: new URL(`${name}.mjs`, here).href };
  const binary = await unpacked(new URL(`${name}.wasm.gz`, here));
  wasm.wasmBinary = binary.buffer as ArrayBuffer;
  return ort;
}

/** Tell whether there is a graphics card that can be used, or one played by software. */
export async function graphics(): Promise<"card" | "software" | "none"> {
  const { gpu } = navigator as { gpu?: { requestAdapter(): Promise<Adapter | null> } };
  // Without it, a program cannot wait for the card.
  if (!gpu || !("Suspending" in WebAssembly)) return "none";
  const adapter = await gpu.requestAdapter().catch(() => null);
  if (!adapter) return "none";
  return adapter.info.isFallbackAdapter ? "software" : "card";
}
