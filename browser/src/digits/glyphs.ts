/** Digits as strokes in a square of 100, for those who do not draw. */

const STROKES = [
  "M50 18C20 18 20 82 50 82C80 82 80 18 50 18",
  "M38 30L54 18L50 82",
  "M28 34C32 12 72 14 68 40C66 54 36 66 28 80L74 80",
  "M30 24C52 8 78 32 48 48C82 50 72 88 28 78",
  "M58 84L58 18L26 62L76 62",
  "M70 20L36 20L32 46C60 36 84 66 60 80C50 84 38 82 30 76",
  "M66 18C40 24 26 52 32 70C38 88 70 84 66 64C62 46 38 52 32 68",
  "M28 22L72 22C60 40 50 60 46 84",
  "M50 48C26 38 34 16 52 18C72 20 72 38 50 48C24 60 28 84 50 82C74 82 74 58 50 48",
  "M66 36C60 16 30 18 32 38C36 56 64 50 66 34C68 56 62 74 52 84",
];

/** Draw a digit on a canvas as one of many hands might have, by its number. */
export function draw(context: CanvasRenderingContext2D, digit: number, hand: number): void {
  const { width } = context.canvas;
  const vary = (place: number) => Math.sin(12.9898 * (hand + 1) + 78.233 * place);
  context.save();
  context.translate(width / 2, width / 2);
  context.rotate(0.25 * vary(1));
  context.transform(1, 0, 0.25 * vary(2), 1, 0, 0);
  context.scale((width / 100) * (0.85 + 0.15 * vary(3)), (width / 100) * (0.9 + 0.1 * vary(4)));
  context.translate(-50 + 5 * vary(5), -50 + 5 * vary(6));
  context.lineWidth = 8 + 1.5 * vary(7);
  context.stroke(new Path2D(STROKES[digit]));
  context.restore();
}
