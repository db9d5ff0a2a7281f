/** The verdict and the numbers in words: on the page, and as a file of its own. */

import type { Result } from "./pair";

const LEVELS = {
  good: "Good",
  doubtful: "Doubtful",
  failed: "Failed",
};

export type Row = [name: string, before: string, after: string];

/** Return the verdict as a heading and sentences. */
export function verdictWords({ verdict, warnings }: Result): { head: string; lines: string[] } {
  const error = verdict.error_mm.toPrecision(2);
  const head = `${LEVELS[verdict.level]}: the check estimates an error of about ${error} mm.`;
  return { head, lines: [...verdict.reasons, ...warnings] };
}

/** Return the numbers as rows of a table. */
export function rows({ numbers }: Result): Row[] {
  const { before, after } = numbers;
  const digits = (value: number) => value.toFixed(3);
  return [
    ["Correlation (NCC) in the brain", digits(before.ncc), digits(after.ncc)],
    ["Local NCC, windows of 10 mm", digits(before.local_ncc), digits(after.local_ncc)],
    ["Overlap of the brains (Dice)", digits(before.brain_dice), digits(after.brain_dice)],
    ["Folded voxels", "", `${numbers.folded_percent.toFixed(2)} %`],
    ["Spread of the log-Jacobian", "", digits(numbers.log_jacobian_sd)],
    ["Volume ratio of the affine", "", digits(numbers.volume_ratio)],
    ["Brain beyond the moving scan", "", `${numbers.outside_percent.toFixed(1)} %`],
  ];
}

/** Return the seconds of each stage. */
export function secondsOf({ seconds }: Result): [string, string][] {
  const all = Object.entries(seconds).map(([name, value]) => [name, value] as const);
  const total = all.reduce((sum, [, value]) => sum + value, 0);
  return [...all, ["together", total] as const].map(([name, value]) => [name, value.toFixed(1)]);
}

/** Return the report as a page that needs no other file. */
export function reportPage(result: Result, pictures: [string, string][]): string {
  const { head, lines } = verdictWords(result);
  const list = lines.map((line) => `<li>${escaped(line)}</li>`).join("");
  const table = rows(result)
    .map((row) => `<tr>${row.map((cell) => `<td>${escaped(cell)}</td>`).join("")}</tr>`)
    .join("\n");
  const shown = pictures
    .map(([words, url]) => `<figure><img alt="${escaped(words)}" src="${url}"><figcaption>${escaped(words)}</figcaption></figure>`)
    .join("\n");
  return `<!doctype html>
<html lang="en"><meta charset="utf-8"><title>Registration report</title>
<style>body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}
td{padding:.2rem .8rem .2rem 0}img{max-width:100%;background:#000}figure{margin:1rem 0}</style>
<h1>${escaped(result.moving.name)} onto ${escaped(result.fixed.name)}</h1>
<p><strong>${escaped(head)}</strong></p><ul>${list}</ul>
<table><tr><th></th><th>before</th><th>after</th></tr>
${table}</table>
${shown}
<p>Made in a browser by the networks of the command line; nothing was uploaded. Not for
clinical decisions.</p>
<script type="application/json" id="numbers">${record(result)}</script>
</html>
`;
}

/** Return what the command line writes to registration.json, as far as it is known. */
function record(result: Result): string {
  const { verdict, numbers, warnings, masksFrom, options, models, seconds } = result;
  const transform = { kind: options.kind, refined: options.refine, masks_from: masksFrom, models };
  const text = JSON.stringify({ verdict, numbers, warnings, transform, seconds }, null, 2);
  return text.replaceAll("<", "\\u003c");
}

function escaped(text: string): string {
  const names: Record<string, string> = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" };
  return text.replace(/[&<>"]/g, (sign) => names[sign]);
}
