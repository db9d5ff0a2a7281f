/** Read a NIfTI file as a scan, as `registration/scans/nifti.py`. */

import { Grid } from "./grid";
import { Header, HEADER_BYTES, parsed } from "./header";
import { inFileOrder, Turn, turnedGrid, turnOf } from "./orientation";
import { Volume } from "./volume";
import { WrongInput } from "./wrong";

export interface Scan extends Volume {
  name: string;
  /** The brain, where it is known. */
  mask: Uint8Array | null;
  /** How the file had it. */
  stored: { grid: Grid; turn: Turn };
}

/** The most voxels of one scan that this page takes. */
export const MOST_VOXELS = 40e6;
const SPARE_BYTES = 2 ** 20;
const AGAIN = "Fetch or write the file again.";

/** Read the header of a file alone. */
export async function header(file: Blob, name: string): Promise<Header> {
  return named(name, async () => {
    const stream = await opened(file, name);
    const head = await stream.upTo(HEADER_BYTES);
    await stream.close();
    return checkedSize(parsed(head.slice().buffer));
  });
}

/** Read a scan: a file that holds more than one value. */
export async function scan(file: Blob, name: string): Promise<Scan> {
  const found = await volume(file, name);
  if (!found.data.every((number) => number === found.data[0])) return found;
  throw new WrongInput(
    `${name}: Every voxel has the same value. Choose a file with a head in it.`,
  );
}

/** Read a whole file, its axes turned to right, anterior, superior. */
export async function volume(file: Blob, name: string): Promise<Scan> {
  return named(name, async () => {
    const stream = await opened(file, name);
    const start = await stream.upTo(HEADER_BYTES);
    const head = checkedSize(parsed(start.slice().buffer));
    const promised = head.shape[0] * head.shape[1] * head.shape[2] * head.bytes;
    const whole = await stream.upTo(head.first + promised);
    if (whole.length < head.first + promised) {
      throw new WrongInput(
        `It ends too early: ${whole.length} bytes, where its header promises ` +
          `${head.first + promised}. ${AGAIN}`,
      );
    }
    await stream.end(SPARE_BYTES);
    return turned(head, whole.slice(head.first, head.first + promised), name);
  });
}

async function named<T>(name: string, read: () => Promise<T>): Promise<T> {
  try {
    return await read();
  } catch (error) {
    if (!(error instanceof WrongInput)) throw error;
    throw new WrongInput(`${name}: ${error.message}`);
  }
}

function checkedSize(head: Header): Header {
  const count = head.shape[0] * head.shape[1] * head.shape[2];
  if (count <= MOST_VOXELS) return head;
  throw new WrongInput(
    `${head.shape.join(" × ")} voxels are more than a page can hold ` +
      `(at most ${MOST_VOXELS / 1e6} million). Bring the scan to voxels of 1 mm first, ` +
      "or use the command line.",
  );
}

/** The bytes of a file, unpacked a piece at a time. */
class Stream {
  private read = new Uint8Array(0);
  private count = 0;

  constructor(private source: ReadableStreamDefaultReader<Uint8Array>) {}

  /** Return the first bytes of the file, all of them where it is shorter. */
  async upTo(size: number): Promise<Uint8Array> {
    while (this.count < size) {
      const piece = await this.next();
      if (!piece) break;
      this.add(piece, size);
    }
    return this.read.subarray(0, Math.min(size, this.count));
  }

  /** Unpack the rest, which verifies the checksum; there is little of it. */
  async end(most: number): Promise<void> {
    let spare = this.count;
    for (let piece = await this.next(); piece; piece = await this.next()) {
      spare += piece.length;
      if (spare - this.count > most) {
        await this.close();
        throw new WrongInput(`It holds more than its header promises. ${AGAIN}`);
      }
    }
  }

  async close(): Promise<void> {
    await this.source.cancel().catch(() => undefined);
  }

  private add(piece: Uint8Array, expected: number): void {
    if (this.count + piece.length > this.read.length) {
      const longer = new Uint8Array(Math.max(expected, this.count) + piece.length);
      longer.set(this.read.subarray(0, this.count));
      this.read = longer;
    }
    this.read.set(piece, this.count);
    this.count += piece.length;
  }

  private async next(): Promise<Uint8Array | undefined> {
    try {
      return (await this.source.read()).value;
    } catch {
      throw new WrongInput(`Its gzip is cut off or damaged. ${AGAIN}`);
    }
  }
}

async function opened(file: Blob, name: string): Promise<Stream> {
  if (!/\.nii(\.gz)?$/i.test(name)) {
    throw new WrongInput(
      "The name must end in .nii or .nii.gz. Convert the scan to NIfTI first, for " +
        "example by dcm2niix.",
    );
  }
  const [one, two] = new Uint8Array(await file.slice(0, 2).arrayBuffer());
  let stream = file.stream() as ReadableStream<Uint8Array>;
  if (one === 0x1f && two === 0x8b) {
    const unpack = new DecompressionStream("gzip") as unknown as TransformStream;
    stream = stream.pipeThrough(unpack);
  }
  return new Stream(stream.getReader());
}

function turned(head: Header, bytes: Uint8Array, name: string): Scan {
  const stored = { shape: head.shape, affine: head.affine };
  const turn = turnOf(head.affine);
  const data = new Float32Array(bytes.length / head.bytes);
  const value = values(head, bytes);
  const { slope, intercept } = head;
  const scales = slope !== 1 || intercept !== 0;
  const short = head.bytes <= 2;
  let bad = 0;
  inFileOrder(head.shape, turn, (file, place) => {
    let number = value(file);
    if (scales) {
      number = short
        ? Math.fround(number * Math.fround(slope)) + Math.fround(intercept)
        : number * slope + intercept;
    }
    data[place] = number;
    if (!Number.isFinite(data[place])) bad++;
  });
  if (bad) {
    throw new WrongInput(`${bad} of its voxels are no numbers. Set them to zero first.`);
  }
  return { name, data, mask: null, grid: turnedGrid(stored, turn), stored: { grid: stored, turn } };
}

/** Return a function from the number of a stored voxel to its value. */
function values(head: Header, bytes: Uint8Array): (index: number) => number {
  if (!head.little && head.bytes > 1) swap(bytes, head.bytes);
  const { buffer } = bytes;
  if (head.type === 1024 || head.type === 1280) {
    const big = head.type === 1024 ? new BigInt64Array(buffer) : new BigUint64Array(buffer);
    return (index) => Number(big[index]);
  }
  const kinds = {
    2: Uint8Array, 4: Int16Array, 8: Int32Array, 16: Float32Array, 64: Float64Array,
    256: Int8Array, 512: Uint16Array, 768: Uint32Array,
  };
  const array = new kinds[head.type as keyof typeof kinds](buffer as ArrayBuffer);
  return (index) => array[index];
}

function swap(bytes: Uint8Array, size: number): void {
  for (let start = 0; start < bytes.length; start += size) {
    bytes.subarray(start, start + size).reverse();
  }
}
