/** What the page of the digits and its worker tell each other. */

import type { Registered } from "./register";

export interface Wish {
  moving: Float32Array;
  fixed: Float32Array;
  /** Name of the network that deforms. */
  model: string;
}

export type Answer =
  | { kind: "ready" }
  | ({ kind: "found"; milliseconds: number } & Registered)
  | { kind: "broken"; text: string };
