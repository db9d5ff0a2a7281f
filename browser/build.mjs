/**
 * Bundle the page into OUT, or with --node the script that a test holds to Python.
 *
 *     node build.mjs OUT [--node]
 */

import * as esbuild from "esbuild";
import * as path from "node:path";

const [out, node] = process.argv.slice(2);
const shared = {
  absWorkingDir: import.meta.dirname,
  bundle: true,
  format: "esm",
  target: "es2022",
  minify: !node,
  legalComments: "none",
  logLevel: "warning",
  conditions: ["onnxruntime-web-use-extern-wasm"],
};

if (node) {
  await esbuild.build({
    ...shared,
    entryPoints: ["src/agree.ts"],
    outfile: path.join(out, "agree.mjs"),
    platform: "node",
    external: ["onnxruntime-web"],
  });
}
