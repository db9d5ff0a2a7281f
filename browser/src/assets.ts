/** Stored files of the page: fetched packed, unpacked here, and checked. */

import { hashes } from "./contracts";

/** Fetch a file that may be packed; some servers unpack it on the way. */
export async function unpacked(url: URL): Promise<Uint8Array> {
  const answer = await fetch(url);
  if (!answer.ok) throw new Error(`${url.pathname} cannot be fetched: ${answer.status}`);
  const blob = await answer.blob();
  const [one, two] = new Uint8Array(await blob.slice(0, 2).arrayBuffer());
  if (one !== 0x1f || two !== 0x8b) return new Uint8Array(await blob.arrayBuffer());
  const unpack = new DecompressionStream("gzip") as unknown as TransformStream;
  return new Uint8Array(await new Response(blob.stream().pipeThrough(unpack)).arrayBuffer());
}

/** Fetch a network's program, and see that it is the one its contract names. */
export async function program(file: string, folder: URL): Promise<Uint8Array> {
  const bytes = await unpacked(new URL(`${file}.gz`, folder));
  // Browsers offer checksums to pages that came over a safe way only.
  if (!globalThis.crypto?.subtle) return bytes;
  const digits = await crypto.subtle.digest("SHA-256", bytes as Uint8Array<ArrayBuffer>);
  const text = [...new Uint8Array(digits)].map((b) => b.toString(16).padStart(2, "0")).join("");
  if (text !== hashes[file]) throw new Error(`${file} is damaged: load the page again.`);
  return bytes;
}
