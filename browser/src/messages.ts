/** What the page and its worker tell each other. */

import type { Device, Input, Options, Result, Stage } from "./pair";
import type { Scan } from "./reading";
import type { Transform } from "./transform";
import type { Voxels } from "./writing";

export type Wish =
  | { kind: "register"; moving: Input; fixed: Input; options: Options; device: Device }
  | { kind: "volume"; data: Voxels; onto: Scan }
  | { kind: "warp"; found: Transform; onto: Scan };

export type Answer =
  | { kind: "stage"; stage: Stage; share: number }
  | { kind: "found"; result: Result; threads: number }
  | { kind: "file"; blob: Blob }
  | { kind: "wrong"; text: string }
  | { kind: "broken"; text: string };
