/** A stored network: its contract, and its programs in ONNX Runtime. */

import type * as Ort from "onnxruntime-web";
import { Vector } from "./matrix";

export interface Contract {
  options: { shape: number[] };
  voxel_mm: number;
  sha256: string;
}

export interface Network {
  name: string;
  shape: Vector;
  voxel: number;
  sha256: string;
  /** Run one of its programs; the first is named by an empty ending. */
  run(ending: string, feeds: Feeds): Promise<Record<string, Float32Array>>;
  /** Let go of what its programs hold. */
  release(): Promise<void>;
}

export type Feeds = Record<string, Float32Array>;

/** How the bytes of a stored file are come by. */
export type Fetcher = (file: string) => Promise<Uint8Array>;

/**
 * Return a network whose programs start when they are asked for. The network itself may
 * run on the graphics card; the programs around it, which read between voxels, may not.
 */
export function network(
  ort: typeof Ort,
  name: string,
  contract: Contract,
  fetcher: Fetcher,
  card = false,
): Network {
  const sessions = new Map<string, Ort.InferenceSession>();
  async function session(ending: string): Promise<Ort.InferenceSession> {
    let found = sessions.get(ending);
    if (!found) {
      const bytes = await fetcher(`${name}${ending}.onnx`);
      const executionProviders = card && !ending ? ["webgpu", "wasm"] : ["wasm"];
      const options = { executionProviders, logSeverityLevel: 3 as const };
      found = await ort.InferenceSession.create(bytes, options);
      sessions.set(ending, found);
    }
    return found;
  }
  return {
    name,
    shape: contract.options.shape as Vector,
    voxel: contract.voxel_mm,
    sha256: contract.sha256,
    async run(ending, feeds) {
      const program = await session(ending);
      const inputs: Record<string, Ort.Tensor> = {};
      for (const { name: key, shape } of described(program)) {
        inputs[key] = new ort.Tensor("float32", feeds[key], shape);
      }
      const results = await program.run(inputs);
      const found: Record<string, Float32Array> = {};
      for (const [key, tensor] of Object.entries(results)) {
        found[key] = (tensor.data as Float32Array).slice();
        tensor.dispose();
      }
      return found;
    },
    async release() {
      for (const one of sessions.values()) await one.release();
      sessions.clear();
    },
  };
}

function described(program: Ort.InferenceSession): { name: string; shape: number[] }[] {
  return program.inputMetadata.map((input) => {
    if (!input.isTensor) throw new Error(`${input.name} is no tensor`);
    return { name: input.name, shape: input.shape.map(Number) };
  });
}

/** Run a program and return one of its results. */
export async function outputOf(
  model: Network,
  ending: string,
  name: string,
  feeds: Feeds,
): Promise<Float32Array> {
  return (await model.run(ending, feeds))[name];
}
