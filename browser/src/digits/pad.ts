/** A canvas to draw a digit on, by mouse, pen, finger, or by a choice from a list. */

import { draw } from "./glyphs";
import { PIXELS, SIDE } from "./image";

const FINE = 8;
const THICKNESS = 20;

/** Return what a canvas shows as a picture of 32 × 32; it is kept up to date. */
export class Pad {
  readonly image = new Float32Array(PIXELS);
  private readonly context: CanvasRenderingContext2D;
  private last: [number, number] = [0, 0];

  constructor(canvas: HTMLCanvasElement, private readonly changed: () => void) {
    canvas.width = canvas.height = SIDE * FINE;
    this.context = canvas.getContext("2d", { willReadFrequently: true })!;
    Object.assign(this.context, { strokeStyle: "#fff", lineCap: "round", lineJoin: "round" });
    canvas.addEventListener("pointerdown", (event) => this.begin(event));
    canvas.addEventListener("pointermove", (event) => this.goOn(event));
    this.clear();
  }

  /** Make the canvas black. */
  clear(): void {
    const { context } = this;
    context.fillStyle = "#000";
    context.fillRect(0, 0, SIDE * FINE, SIDE * FINE);
    this.update();
  }

  /** Show a digit as one of many hands might draw it. */
  show(digit: number, hand: number): void {
    this.clear();
    draw(this.context, digit, hand);
    this.update();
  }

  private begin(event: PointerEvent): void {
    const canvas = this.context.canvas;
    canvas.setPointerCapture(event.pointerId);
    event.preventDefault();
    this.last = this.place(event);
    this.stroke(event);
  }

  private goOn(event: PointerEvent): void {
    if (this.context.canvas.hasPointerCapture(event.pointerId)) this.stroke(event);
  }

  private stroke(event: PointerEvent): void {
    const { context } = this;
    context.lineWidth = THICKNESS;
    context.beginPath();
    context.moveTo(...this.last);
    this.last = this.place(event);
    context.lineTo(...this.last);
    context.stroke();
    this.update();
  }

  private place(event: PointerEvent): [number, number] {
    const box = this.context.canvas.getBoundingClientRect();
    const scale = (SIDE * FINE) / box.width;
    return [(event.clientX - box.left) * scale, (event.clientY - box.top) * scale];
  }

  /** Average the canvas in blocks. */
  private update(): void {
    const wide = SIDE * FINE;
    const { data } = this.context.getImageData(0, 0, wide, wide);
    this.image.fill(0);
    for (let pixel = 0; pixel < wide * wide; pixel++) {
      const row = Math.floor(pixel / wide / FINE);
      const column = Math.floor((pixel % wide) / FINE);
      this.image[row * SIDE + column] += data[4 * pixel] / 255 / FINE ** 2;
    }
    this.changed();
  }
}
