/** Two digits, registered while they are drawn. */

import { element } from "../dom";
import { fetched, folded, ncc } from "./image";
import type { Answer, Wish } from "./messages";
import { DEFORMING } from "./names";
import { Pad } from "./pad";
import { grid, overlay } from "./pictures";

const canvas = (id: string) => element<HTMLCanvasElement>(id);
const weight = element<HTMLInputElement>("weight");
const worker = new Worker(new URL("digits-worker.js", document.baseURI), { type: "module" });
const pads = { fixed: new Pad(canvas("draw-fixed"), wish), moving: new Pad(canvas("draw-moving"), wish) };
let hand = 0;
let ready = false;
let asked = false;
let answers = 0;

worker.onmessage = ({ data }: MessageEvent<Answer>) => {
  if (data.kind === "broken") say(`It does not work here: ${data.text}`);
  else if (data.kind === "found") show(data);
  else {
    ready = true;
    wish();
  }
};
worker.onerror = (event) => say(`The networks do not start: ${event.message}`);

for (const side of ["fixed", "moving"] as const) {
  const choice = element<HTMLSelectElement>(`digit-${side}`);
  choice.onchange = () => choice.value && pads[side].show(Number(choice.value), hand++);
  element(`clear-${side}`).onclick = () => {
    choice.value = "";
    pads[side].clear();
  };
}
weight.oninput = wish;
navigator.serviceWorker?.register("sw.js").catch(() => undefined);
element("another").onclick = () => another((Number(element<HTMLSelectElement>("digit-fixed").value) + 1) % 10);
another(3);

/** Show two digits of one class by two hands. */
function another(digit: number): void {
  for (const side of ["fixed", "moving"] as const) {
    element<HTMLSelectElement>(`digit-${side}`).value = String(digit);
    pads[side].show(digit, hand++);
  }
}

function say(text: string): void {
  element("said").textContent = text;
}

/** Ask for what the pads show, once a frame. */
function wish(): void {
  if (asked) return;
  asked = true;
  requestAnimationFrame(ask);
}

function ask(): void {
  asked = false;
  const { name, weight: smoothness } = DEFORMING[Number(weight.value)];
  element("weight-says").textContent = `λ = ${smoothness}`;
  weight.setAttribute("aria-valuetext", String(smoothness));
  if (!ready) return;
  const [moving, fixed] = [pads.moving.image, pads.fixed.image];
  if (![moving, fixed].every((image) => image.some((value) => value > 0.1))) {
    say("Draw a digit on both sides.");
    return;
  }
  worker.postMessage({ moving, fixed, model: name } satisfies Wish);
}

function show(found: Extract<Answer, { kind: "found" }>): void {
  const { moving, fixed } = { moving: pads.moving.image, fixed: pads.fixed.image };
  const aligned = fetched(moving, found.affinePlaces);
  const moved = fetched(moving, found.places);
  overlay(canvas("before"), fixed, moving);
  overlay(canvas("affine"), fixed, aligned);
  overlay(canvas("dense"), fixed, moved);
  grid(canvas("grid"), moving, found.places);
  const after = (other: Float32Array) => ncc(fixed, other).toFixed(2);
  element("before-says").textContent = `before, NCC ${after(moving)}`;
  element("affine-says").textContent = `affine, NCC ${after(aligned)}`;
  element("dense-says").textContent = `deformed, NCC ${after(moved)}`;
  element("grid-says").textContent = `folded ${folded(found.places).toFixed(1)} %`;
  say(`${found.milliseconds.toFixed(0)} ms a registration`);
  element("said").dataset.answers = String(++answers);
}
