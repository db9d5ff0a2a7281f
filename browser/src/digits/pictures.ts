/** What a registration of two digits looks like. */

import { PIXELS, SIDE } from "./image";

const FINE = 8;
const ORANGE = [230, 159, 0];
const BLUE = [86, 180, 233];
const small = new OffscreenCanvas(SIDE, SIDE).getContext("2d")!;

/** Show two pictures on each other: the fixed one in orange, the other in blue. */
export function overlay(canvas: HTMLCanvasElement, fixed: Float32Array, other: Float32Array): void {
  paint(canvas, (pixel, i) => fixed[pixel] * ORANGE[i] + other[pixel] * BLUE[i]);
}

/** Show a moving picture, and the lines along which the fixed grid is fetched. */
export function grid(canvas: HTMLCanvasElement, moving: Float32Array, places: Float32Array): void {
  paint(canvas, (pixel) => 200 * moving[pixel]);
  const context = canvas.getContext("2d")!;
  context.strokeStyle = "#f0e442";
  context.beginPath();
  for (let line = 0; line < SIDE; line += 2) {
    for (const along of [1, SIDE]) {
      const start = line * (SIDE + 1 - along);
      for (let step = 0; step < SIDE; step++) {
        const at = 2 * (start + step * along);
        const [x, y] = [(places[at + 1] + 0.5) * FINE, (places[at] + 0.5) * FINE];
        if (step) context.lineTo(x, y);
        else context.moveTo(x, y);
      }
    }
  }
  context.stroke();
}

/** Fill a canvas from 32 × 32 colours, smoothly enlarged. */
function paint(canvas: HTMLCanvasElement, level: (pixel: number, i: number) => number): void {
  const wide = SIDE * FINE;
  if (canvas.width !== wide) canvas.width = canvas.height = wide;
  const pixels = new ImageData(SIDE, SIDE);
  for (let pixel = 0; pixel < PIXELS; pixel++) {
    for (let i = 0; i < 3; i++) pixels.data[4 * pixel + i] = level(pixel, i);
    pixels.data[4 * pixel + 3] = 255;
  }
  small.putImageData(pixels, 0, 0);
  canvas.getContext("2d")!.drawImage(small.canvas, 0, 0, wide, wide);
}
