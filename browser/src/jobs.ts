/** The worker's life: one a job, ended with it, so that its memory is given back. */

import type { Answer, Wish } from "./messages";
import type { Result, Tell } from "./pair";
import { WrongInput } from "./wrong";

let running: Worker | null = null;
let stopped: ((reason: Error) => void) | null = null;

/** What a job ends with when it was cancelled. */
export class Cancelled extends Error {}

/** Do what is wished for in a worker of its own. */
function work(wish: Wish, tell: Tell): Promise<Answer> {
  cancel();
  const worker = new Worker(new URL("worker.js", document.baseURI), { type: "module" });
  running = worker;
  return new Promise<Answer>((done, fail) => {
    stopped = fail;
    worker.onmessage = ({ data }: MessageEvent<Answer>) => {
      if (data.kind === "stage") tell(data.stage, data.share);
      else if (data.kind === "wrong") fail(new WrongInput(data.text));
      else if (data.kind === "broken") fail(new Error(data.text));
      else done(data);
    };
    worker.onerror = (event) => fail(new Error(event.message || "the worker did not start"));
    worker.postMessage(wish);
  }).finally(() => {
    worker.terminate();
    if (running === worker) running = stopped = null;
  });
}

/** End what is running; whoever waits for it gets `Cancelled`. */
export function cancel(): void {
  stopped?.(new Cancelled("cancelled"));
  running?.terminate();
  running = stopped = null;
}

/** Register two files. */
export async function registered(
  wish: Extract<Wish, { kind: "register" }>,
  tell: Tell,
): Promise<{ result: Result; threads: number }> {
  const answer = await work(wish, tell);
  if (answer.kind !== "found") throw new Error("the worker gave another answer");
  return answer;
}

/** Make a file for the reader's disk. */
export async function file(wish: Exclude<Wish, { kind: "register" }>): Promise<Blob> {
  const answer = await work(wish, () => undefined);
  if (answer.kind !== "file") throw new Error("the worker gave another answer");
  return answer.blob;
}
