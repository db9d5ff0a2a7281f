/**
 * Bundle the page into OUT, or with --node the script that a test holds to Python.
 *
 *     node build.mjs OUT [--node]
 */

import * as crypto from "node:crypto";
import * as fs from "node:fs";
import * as path from "node:path";
import * as zlib from "node:zlib";
import * as esbuild from "esbuild";

const HERE = import.meta.dirname;
const RUNTIME = path.join(HERE, "node_modules/onnxruntime-web/dist");
const MODELS = path.join(HERE, "../models");
const PROGRAMS = [
  "brain.onnx", "affine_t1.onnx", "affine_t1.force.onnx", "dense_t1.onnx",
  "dense_t1.field.onnx", "dense_t1.step.onnx",
];
const DIGITS = [
  "digits_affine.onnx",
  ...["loose", "even", "stiff"].flatMap((kind) => [
    `digits_${kind}.onnx`, `digits_${kind}.field.onnx`,
  ]),
];
// For the processor, and for the graphics card too; a page fetches one of them.
const RUNTIMES = ["ort-wasm-simd-threaded", "ort-wasm-simd-threaded.jspi"];
const POLICY = [
  "default-src 'none'", "script-src 'self' 'wasm-unsafe-eval'", "worker-src 'self'",
  "style-src 'self' 'unsafe-inline'", "img-src 'self' data: blob:", "font-src 'self' data:",
  "connect-src 'self'", "base-uri 'none'", "form-action 'none'",
].join("; ");
const shared = {
  absWorkingDir: HERE,
  bundle: true,
  format: "esm",
  target: "es2022",
  legalComments: "none",
  logLevel: "warning",
};

const [out, node] = process.argv.slice(2);
await (node ? script() : page());

async function script() {
  await esbuild.build({
    ...shared,
    entryPoints: [
      { in: "src/agree.ts", out: "agree" },
      { in: "src/digits/agree.ts", out: "agree-digits" },
    ],
    outdir: out,
    outExtension: { ".js": ".mjs" },
    platform: "node",
    external: ["onnxruntime-web"],
  });
}

async function page() {
  fs.mkdirSync(path.join(out, "models"), { recursive: true });
  await esbuild.build({
    ...shared,
    entryPoints: ["src/page.ts", "src/worker.ts"],
    outdir: out,
    splitting: true,
    minify: true,
    conditions: ["onnxruntime-web-use-extern-wasm"],
    // Codecs of volumes that come in pieces over a network: NiiVue is given whole ones.
    external: ["numcodecs/*"],
  });
  for (const name of RUNTIMES) {
    pack(path.join(RUNTIME, `${name}.wasm`), `${name}.wasm.gz`);
    fs.copyFileSync(path.join(RUNTIME, `${name}.mjs`), at(`${name}.mjs`));
  }
  for (const name of PROGRAMS) pack(path.join(MODELS, name), `models/${name}.gz`);
  fs.copyFileSync(path.join(HERE, "style.css"), at("style.css"));
  fs.copyFileSync(path.join(HERE, "../site/_static/favicon.svg"), at("favicon.svg"));
  written("index.html", `${megabytes()} MB`);
  if (DIGITS.every((name) => fs.existsSync(path.join(MODELS, name)))) await digits();
  await keeper();
}

/** Write one of the pages with its policy. */
function written(name, download = "") {
  const html = fs.readFileSync(path.join(HERE, name), "utf8");
  const text = html.replace("%POLICY%", POLICY).replace("%DOWNLOAD%", download);
  fs.writeFileSync(at(name), text);
}

/** Add the page of the drawn digits: its networks are stored. */
async function digits() {
  await esbuild.build({
    ...shared,
    entryPoints: [
      { in: "src/digits/page.ts", out: "digits" },
      { in: "src/digits/worker.ts", out: "digits-worker" },
    ],
    outdir: out,
    minify: true,
    conditions: ["onnxruntime-web-use-extern-wasm"],
  });
  for (const name of DIGITS) pack(path.join(MODELS, name), `models/${name}.gz`);
  for (const name of new Set(DIGITS.map((file) => file.split(".")[0]))) {
    fs.copyFileSync(path.join(MODELS, `${name}.json`), at(`models/${name}.json`));
  }
  fs.copyFileSync(path.join(HERE, "digits.css"), at("digits.css"));
  written("digits.html");
}

/** Write the service worker, whose version changes with any file. */
async function keeper() {
  const scripts = fs.readdirSync(out).filter((name) => /\.(js|css|svg)$/.test(name));
  await esbuild.build({
    ...shared,
    entryPoints: ["src/sw.ts"],
    outfile: at("sw.js"),
    minify: true,
    define: {
      VERSION: JSON.stringify(version()),
      POLICY: JSON.stringify(POLICY),
      SHELL: JSON.stringify(["./", "index.html", ...scripts]),
    },
  });
}

function at(name) {
  return path.join(out, name);
}

function pack(from, name) {
  fs.writeFileSync(at(name), zlib.gzipSync(fs.readFileSync(from), { level: 9 }));
}

function files() {
  return fs.readdirSync(out, { recursive: true }).filter((name) => fs.statSync(at(name)).isFile());
}

/** Return how much a page fetches at most, without the built-in pairs. */
function megabytes() {
  const bytes = files()
    .filter((name) => !name.startsWith("pairs") && name !== `${RUNTIMES[0]}.wasm.gz`)
    .reduce((sum, name) => sum + fs.statSync(at(name)).size, 0);
  return Math.ceil(bytes / 1e6);
}

function version() {
  const hash = crypto.createHash("sha256");
  for (const name of files().sort()) hash.update(name).update(fs.readFileSync(at(name)));
  return hash.digest("hex").slice(0, 12);
}
