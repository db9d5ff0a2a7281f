/** Small pictures, and how they are read between pixels. */

export const SIDE = 32;
export const PIXELS = SIDE * SIDE;

/** Read a picture linearly; whatever lies outside of it is black. */
export function read(image: Float32Array, row: number, column: number): number {
  if (!(row > -1 && column > -1 && row < SIDE && column < SIDE)) return 0;
  const [i, j] = [Math.floor(row), Math.floor(column)];
  const [u, v] = [row - i, column - j];
  const at = (a: number, b: number) =>
    a < 0 || b < 0 || a >= SIDE || b >= SIDE ? 0 : image[a * SIDE + b];
  const upper = (1 - v) * at(i, j) + v * at(i, j + 1);
  const lower = (1 - v) * at(i + 1, j) + v * at(i + 1, j + 1);
  return (1 - u) * upper + u * lower;
}

/** Read a picture at places, two numbers a pixel: row and column. */
export function fetched(image: Float32Array, places: Float32Array): Float32Array {
  const out = new Float32Array(PIXELS);
  for (let p = 0; p < PIXELS; p++) out[p] = read(image, places[2 * p], places[2 * p + 1]);
  return out;
}

/** Return the correlation of two pictures, 0 where one is the same everywhere. */
export function ncc(one: Float32Array, two: Float32Array): number {
  const mean = (image: Float32Array) => image.reduce((sum, v) => sum + v, 0) / PIXELS;
  const [first, second] = [mean(one), mean(two)];
  let [product, left, right] = [0, 0, 0];
  for (let p = 0; p < PIXELS; p++) {
    const [a, b] = [one[p] - first, two[p] - second];
    product += a * b;
    left += a * a;
    right += b * b;
  }
  const norm = Math.sqrt(left * right);
  return norm > 1e-12 ? product / norm : 0;
}

/** Return the share of pixels that a deformation turns inside out, in percent. */
export function folded(places: Float32Array): number {
  const at = (i: number, j: number, axis: number) => places[2 * (i * SIDE + j) + axis];
  let count = 0;
  for (let i = 0; i < SIDE; i++)
    for (let j = 0; j < SIDE; j++) {
      const [up, down] = [Math.max(0, i - 1), Math.min(SIDE - 1, i + 1)];
      const [left, right] = [Math.max(0, j - 1), Math.min(SIDE - 1, j + 1)];
      const slope = (axis: number) => [
        (at(down, j, axis) - at(up, j, axis)) / (down - up),
        (at(i, right, axis) - at(i, left, axis)) / (right - left),
      ];
      const [[a, b], [c, d]] = [slope(0), slope(1)];
      if (a * d - b * c <= 0) count++;
    }
  return (100 * count) / PIXELS;
}
