// Runs TF.js graph models in Node. The argument is the backend: cpu or wasm.
import { createInterface } from "node:readline";
import { readFile, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { dirname, join, sep } from "node:path";
import * as tf from "@tensorflow/tfjs-core";
import { load } from "./graph_model.mjs";
import { parse, serialize } from "./safetensors.mjs";

// Standard output carries answers alone; TF.js greets and warns on it.
console.log = console.info = console.warn = console.error;

/** A TF.js IOHandler for a model folder on disk. */
function fromDisk(path) {
  const weights = async (manifest) => {
    const specs = manifest.flatMap((group) => group.weights);
    const files = manifest.flatMap((group) => group.paths);
    const parts = await Promise.all(files.map((file) => readFile(join(dirname(path), file))));
    const whole = Buffer.concat(parts);
    return [specs, whole.buffer.slice(whole.byteOffset, whole.byteOffset + whole.byteLength)];
  };
  return { load: async () => tf.io.getModelArtifactsForJSON(JSON.parse(await readFile(path, "utf8")), weights) };
}

async function setBackend(backend) {
  const module = await import(`@tensorflow/tfjs-backend-${backend}`);
  if (backend === "wasm") {
    const main = createRequire(import.meta.url).resolve("@tensorflow/tfjs-backend-wasm");
    module.setWasmPaths(dirname(main) + sep);
  }
  if (!(await tf.setBackend(backend))) throw new Error(`the backend ${backend} does not start`);
  await tf.ready();
}

async function answer(request) {
  if (loaded?.path !== request.artifact) loaded = { path: request.artifact, run: await load(fromDisk(request.artifact)) };
  const { outputs, seconds } = await loaded.run(parse(await readFile(request.inputs)));
  await writeFile(request.outputs, serialize(outputs));
  return { seconds, backend: tf.getBackend() };
}

const say = (message) => process.stdout.write(JSON.stringify(message) + "\n");

let loaded = null;
await setBackend(process.argv[2]);
say({ ready: { tfjs: tf.version_core, node: process.versions.node } });
for await (const line of createInterface({ input: process.stdin })) {
  try {
    say(await answer(JSON.parse(line)));
  } catch (error) {
    // After one failure a TF.js backend may give wrong answers to what follows.
    say({ error: String(error?.message ?? error).split("\n")[0].slice(0, 400), restart: true });
  }
}
