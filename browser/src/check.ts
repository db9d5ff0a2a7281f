/** Whether a registration can be trusted, as `registration/check.py`. */

import stored from "../../registration/check.json";
import { carried, stretches, Vector } from "./matrix";
import { boxAround, Brain, localNcc, Numbers, VOXEL_MM, Windows, windows } from "./quality";
import { millilitres } from "./masks";
import { affineOf, Transform } from "./transform";
import { along, fetched, fetchedMask, Volume } from "./volume";

export type Level = "good" | "doubtful" | "failed";
export type Measures = Record<string, number>;

export interface Verdict {
  level: Level;
  risk: number;
  error_mm: number;
  reasons: string[];
  measures: Measures;
}

const LEVELS: Level[] = ["good", "doubtful", "failed"];
const SOME = 2000;
const SHIFT = 2;
const NAMES: Record<string, string> = {
  local_ncc: "in small windows the two scans disagree",
  overlap: "the outlines of the two brains do not meet",
  volume: "the affine changes the brain's volume to another than the fixed one's",
  stretch: "the affine stretches more than heads differ",
  aspect: "the affine stretches one direction much more than another",
  roughness: "the deformation is rough",
  folds: "the deformation folds",
  size: "what was taken for a brain has not the size of one",
  disagreement: "registered the other way round, the affine is another one",
  peak: "shifted by 4 mm, the two scans resemble each other hardly less",
  texture: "the scans are noisy or blurred, unlike those the networks know",
};

/** Measure what the models look at; all grow as things get worse, but for texture. */
export function measures(
  numbers: Numbers,
  moving: Brain,
  fixed: Brain,
  moved: Volume,
  found: Transform,
  gap: number,
): Measures {
  const logs = stretches(affineOf(found)).map(Math.log);
  const sizes = [moving, fixed].map((scan) => millilitres(scan.mask, scan.grid) / 1350);
  const change = logs.reduce((sum, log) => sum + log, 0);
  return {
    local_ncc: -Math.log(Math.max(1e-3, numbers.after.local_ncc)),
    overlap: Math.log(1.005 - numbers.after.brain_dice),
    volume: Math.abs(change + Math.log(sizes[1] / sizes[0])),
    stretch: Math.max(...logs.map(Math.abs)),
    aspect: Math.max(...logs) - Math.min(...logs),
    roughness: numbers.log_jacobian_sd,
    folds: Math.log1p(numbers.folded_percent),
    size: Math.max(...sizes.map((size) => Math.abs(Math.log(size)))),
    disagreement: Math.log1p(gap),
    ...inSmallWindows(fixed, moved),
  };
}

/** Return by how much points of a brain miss themselves, there and back, in mm. */
export function gapOf(there: Transform, back: Transform, fixed: Brain): number {
  const [out, home] = [affineOf(there), affineOf(back)];
  const points = somePoints(fixed);
  const missed = points.map((point) => {
    const end = carried(home, carried(out, point));
    return Math.hypot(...end.map((value, axis) => value - point[axis]));
  });
  return missed.reduce((sum, gap) => sum + gap, 0) / missed.length;
}

/** Turn measures into a verdict. */
export function judge(measured: Measures, kind: "affine" | "dense"): Verdict {
  const model = stored[kind];
  const values = model.names.map((name, i) => {
    const value = (measured[name] - model.middle[i]) / model.spread[i];
    return Math.min(model.limit, Math.max(-model.limit, value));
  });
  const sum = (weights: number[]) =>
    weights.reduce((total, weight, i) => total + weight * values[i], 0);
  const risk = 1 / (1 + Math.exp(-(sum(model.risk.weights) + model.risk.offset)));
  const error = Math.exp(sum(model.error.weights) + model.error.offset);
  const rank = model.thresholds.filter((threshold) => risk >= threshold).length;
  const level = LEVELS[Math.max(rank, Number(error > model.gross_mm))];
  return { level, risk, error_mm: error, measures: measured, reasons: reasons() };

  function reasons(): string[] {
    if (level === "good") return [];
    const found = values
      .map((value, i) => ({ value, push: value * model.risk.weights[i], i }))
      .filter(({ value, push }) => push > 0.5 && value > 1)
      .sort((one, two) => two.push - one.push)
      .slice(0, 3)
      .map(({ i }) => NAMES[model.names[i]]);
    if (!found.length) found.push("several measures are a little worse than usual");
    return found.map((text) => `${text[0].toUpperCase()}${text.slice(1)}.`);
  }
}

/** Compare local correlations: a scan with itself, the two where one is shifted. */
function inSmallWindows(fixed: Brain, moved: Volume): { peak: number; texture: number } {
  const grid = boxAround(fixed, VOXEL_MM, 4);
  const inside = fetchedMask(fixed.mask, fixed.grid, grid);
  const near = (one: Windows, two: Windows) => localNcc(one, two, inside);
  const shifted = ({ image }: Windows, axis: number, shift: number) =>
    windows(rolled(image, grid.shape, axis, shift), grid.shape);
  const target = windows(fetched(fixed, grid), grid.shape);
  const image = windows(fetched(moved, grid), grid.shape);
  const here = near(target, image);
  const there = [0, 1, 2].flatMap((axis) =>
    [-SHIFT, SHIFT].map((shift) => near(target, shifted(image, axis, shift))),
  );
  const own = [target, image].map((one) => near(one, shifted(one, 2, 1)));
  return {
    peak: Math.log(Math.max(1e-3, ...there) / Math.max(1e-3, here)),
    texture: Math.min(...own),
  };
}

/** Shift an image along an axis; what leaves on one side enters on the other. */
function rolled(image: Float32Array, shape: Vector, axis: number, shift: number): Float32Array {
  const stride = [shape[1] * shape[2], shape[2], 1][axis];
  const count = shape[axis];
  const found = new Float32Array(image.length);
  for (let index = 0; index < image.length; index++) {
    const at = Math.floor(index / stride) % count;
    found[index] = image[index + (((at - shift + count) % count) - at) * stride];
  }
  return found;
}

/** Return points of a brain, RAS mm. */
function somePoints(scan: Brain): Vector[] {
  const count = scan.mask.reduce((sum, value) => sum + value, 0);
  const step = Math.max(1, Math.floor(count / SOME));
  const points: Vector[] = [];
  let seen = 0;
  along(scan.grid.shape, scan.grid.affine, (index, x, y, z) => {
    if (scan.mask[index] && seen++ % step === 0) points.push([x, y, z]);
  });
  return points;
}
