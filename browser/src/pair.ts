/** Register two files: what the command `registration pair` does, one attempt. */

import { gapOf, judge, measures, Verdict } from "./check";
import { affine, dense } from "./engine";
import { corners, Grid } from "./grid";
import { carriedLabels, labelMap } from "./labels";
import { carried, identity, stretches } from "./matrix";
import { cutOut, foundMask, millilitres, strippedMask } from "./masks";
import type { Network } from "./network";
import { Brain, Jacobian, measured, Numbers } from "./quality";
import { scan as read, Scan } from "./reading";
import { affineOf, applied, faded, isAffine, isField, Transform } from "./transform";
import { WrongInput } from "./wrong";

export type Kind = "affine" | "dense";
/** What runs the networks. */
export type Device = "processor" | "card";
export const STAGES = [
  "reading", "finding the brains", "affine", "the other way", "every voxel",
  "moving the scan", "measuring",
] as const;
export type Stage = (typeof STAGES)[number];
/** Called as a stage begins, and while it goes on, with the share that is done. */
export type Tell = (stage: Stage, share: number) => void;

export interface Input {
  file: Blob;
  name: string;
}

export interface Options {
  kind: Kind;
  refine: boolean;
  /** A label map of the moving scan, to be carried along. */
  labels?: Input;
}

export interface Result {
  moving: Scan;
  fixed: Scan;
  /** The moving scan on the fixed one's grid: where its header puts it, and after. */
  before: Float32Array;
  moved: Float32Array;
  /** The labels of the moving scan on the fixed one's grid, where there are any. */
  labels: Int32Array | null;
  found: Transform;
  verdict: Verdict;
  numbers: Numbers;
  jacobian: Jacobian;
  masksFrom: { moving: string; fixed: string };
  warnings: string[];
  options: Options;
  models: Record<string, string>;
  seconds: Partial<Record<Stage, number>>;
}

const STEPS = { affine: 12, dense: 15 };
const BRAIN_ML = [700, 2200];

/** Register a moving file to a fixed one. */
export async function register(
  moving: Input,
  fixed: Input,
  options: Options,
  models: (name: string) => Network,
  tell: Tell = () => undefined,
): Promise<Result> {
  const clock = stopwatch(tell);
  clock.begin("reading");
  const scans = { moving: await read(moving.file, moving.name), fixed: await read(fixed.file, fixed.name) };
  const drawn = options.labels ? await labelMap(options.labels, scans.moving) : null;
  clock.begin("finding the brains");
  const masksFrom = await findBrains(scans, models("brain"), clock.tell);
  const [own, goal] = [scans.moving, scans.fixed] as [Scan & Brain, Scan & Brain];
  const cut = [cutOut(own, own.mask), cutOut(goal, goal.mask)] as const;
  clock.begin("affine");
  const linear = models("affine_t1");
  let found = await affine(...cut, linear, STEPS.affine * Number(options.refine), clock.tell);
  clock.begin("the other way");
  const gap = gapOf(found, await affine(cut[1], cut[0], linear), goal);
  await linear.release();
  if (options.kind === "dense") {
    clock.begin("every voxel");
    const model = models("dense_t1");
    found = await dense(...cut, found, model, STEPS.dense * Number(options.refine), clock.tell);
    await model.release();
  }
  found = found.map((part) => (isField(part) ? faded(part) : part));
  clock.begin("moving the scan");
  const moved = applied(found, own, goal.grid);
  const before = applied([identity()], own, goal.grid);
  const labels = drawn && carriedLabels(drawn, own.grid, found, goal.grid);
  clock.begin("measuring");
  const image = { data: moved, grid: goal.grid };
  const { numbers, jacobian } = measured(found, own, goal, image);
  const seen = measures(numbers, own, goal, image, found, gap);
  const verdict = judge(seen, isAffine(found) ? "affine" : "dense");
  const warnings = warned(numbers, own, goal, found, masksFrom);
  const used = ["affine_t1", ...(options.kind === "dense" ? ["dense_t1"] : [])];
  return {
    ...scans, before, moved, labels, found, verdict, numbers, jacobian, masksFrom, warnings, options,
    models: Object.fromEntries(used.map((name) => [name, models(name).sha256])),
    seconds: clock.end(),
  };
}

async function findBrains(
  scans: { moving: Scan; fixed: Scan },
  model: Network,
  tell: (done: number, of: number) => void,
): Promise<Result["masksFrom"]> {
  const from = { moving: "the scan has no skull", fixed: "the scan has no skull" };
  for (const name of ["moving", "fixed"] as const) {
    const scan = scans[name];
    scan.mask = strippedMask(scan);
    if (!scan.mask) {
      from[name] = "found by us";
      try {
        scan.mask = await foundMask(scan, model);
      } catch (error) {
        if (error instanceof WrongInput) throw new WrongInput(`${scan.name}: ${error.message}`);
        throw error;
      }
    }
    tell(name === "moving" ? 1 : 2, 2);
  }
  await model.release();
  return from;
}

/** Say where a registration looks wrong, as `quality.warnings`. */
function warned(
  numbers: Numbers,
  moving: Brain,
  fixed: Brain,
  found: Transform,
  from: Result["masksFrom"],
): string[] {
  const said: string[] = [];
  for (const [name, scan] of [["moving", moving], ["fixed", fixed]] as const) {
    const volume = millilitres(scan.mask, scan.grid);
    if (volume >= BRAIN_ML[0] && volume <= BRAIN_ML[1]) continue;
    said.push(
      `The brain of the ${name} scan (${from[name]}) holds ${volume.toFixed(0)} ml, ` +
        "which is not the size of a brain.",
    );
  }
  const { after, before } = numbers;
  if (after.brain_dice < 0.9) {
    said.push(
      `The two brains overlap by a Dice of ${after.brain_dice.toFixed(2)} only: the ` +
        "registration probably failed. Look at the overlay.",
    );
  }
  if (after.ncc < Math.max(isAffine(found) ? 0.5 : 0.75, before.ncc)) {
    said.push(
      `The moved scan resembles the fixed one little (NCC ${after.ncc.toFixed(2)}, ` +
        `before ${before.ncc.toFixed(2)}).`,
    );
  }
  if (numbers.folded_percent > 0.1) {
    said.push(`${numbers.folded_percent.toFixed(2)} % of the brain is folded.`);
  }
  if (numbers.log_jacobian_sd > 0.57) {
    said.push(`The deformation is rough (${numbers.log_jacobian_sd.toFixed(2)}).`);
  }
  const factors = stretches(affineOf(found));
  if (Math.max(...factors) > 1.6 || Math.min(...factors) < 1 / 1.6) {
    said.push("The affine stretches more than heads differ.");
  }
  if (numbers.outside_percent > 2) {
    said.push(
      `${numbers.outside_percent.toFixed(0)} % of the fixed brain lies where the moving ` +
        "scan has no voxels, and is black.",
    );
  }
  return said;
}

/** Say whether two grids share a part of the world. */
export function overlaps(one: Grid, two: Grid): boolean {
  const [a, b] = [bounds(one), bounds(two)];
  return [0, 1, 2].every((axis) => a.low[axis] < b.high[axis] && b.low[axis] < a.high[axis]);
}

function bounds({ shape, affine }: Grid): { low: number[]; high: number[] } {
  const ends = corners(shape).map((corner) => carried(affine, corner));
  const side = (choose: (...values: number[]) => number) =>
    [0, 1, 2].map((axis) => choose(...ends.map((end) => end[axis])));
  return { low: side(Math.min), high: side(Math.max) };
}

function stopwatch(tell: Tell) {
  const seconds: Partial<Record<Stage, number>> = {};
  let stage: Stage | undefined;
  let start = 0;
  const stop = () => {
    if (stage) seconds[stage] = Math.round(performance.now() - start) / 1000;
  };
  return {
    begin(next: Stage) {
      stop();
      [stage, start] = [next, performance.now()];
      tell(next, 0);
    },
    tell(done: number, of: number) {
      if (stage) tell(stage, done / of);
    },
    end() {
      stop();
      return seconds;
    },
  };
}
