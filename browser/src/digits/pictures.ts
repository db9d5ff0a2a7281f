/** What a registration of two digits looks like. */

import { PIXELS, read, SIDE } from "./image";

const FINE = 8;
const ORANGE = [230, 159, 0];
const BLUE = [86, 180, 233];

/** Show two pictures on each other: the fixed one in orange, the other in blue. */
export function overlay(canvas: HTMLCanvasElement, fixed: Float32Array, other: Float32Array): void {
  paint(canvas, (y, x) => {
    const [one, two] = [read(fixed, y, x), read(other, y, x)];
    return ORANGE.map((value, i) => one * value + two * BLUE[i]);
  });
}

/** Show a moving picture, and the lines along which the fixed grid is fetched. */
export function grid(canvas: HTMLCanvasElement, moving: Float32Array, places: Float32Array): void {
  paint(canvas, (y, x) => Array(3).fill(200 * read(moving, y, x)));
  const context = canvas.getContext("2d")!;
  context.strokeStyle = "#f0e442";
  context.lineWidth = 1;
  for (let line = 0; line < SIDE; line += 2) {
    for (const along of [1, SIDE]) {
      const start = line * (SIDE + 1 - along);
      context.beginPath();
      for (let step = 0; step < SIDE; step++) {
        const at = 2 * (start + step * along);
        context.lineTo((places[at + 1] + 0.5) * FINE, (places[at] + 0.5) * FINE);
      }
      context.stroke();
    }
  }
}

function paint(canvas: HTMLCanvasElement, colour: (y: number, x: number) => number[]): void {
  const wide = SIDE * FINE;
  if (canvas.width !== wide) canvas.width = canvas.height = wide;
  const pixels = new ImageData(wide, wide);
  for (let pixel = 0; pixel < PIXELS * FINE ** 2; pixel++) {
    const y = (Math.floor(pixel / wide) + 0.5) / FINE - 0.5;
    const x = ((pixel % wide) + 0.5) / FINE - 0.5;
    pixels.data.set([...colour(y, x), 255], 4 * pixel);
  }
  canvas.getContext("2d")!.putImageData(pixels, 0, 0);
}
