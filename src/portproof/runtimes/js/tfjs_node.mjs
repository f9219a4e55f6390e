// Runs TF.js models in Node. The argument is the backend: cpu or wasm.
import { readFile } from "node:fs/promises";
import { dirname, join, sep } from "node:path";
import * as graph from "./graph_model.mjs";
import * as layers from "./layers_model.mjs";
import { redirectConsole, serve } from "./loop.mjs";
import { requireFrom } from "./packages.mjs";
import { parse, serialize } from "./safetensors.mjs";

redirectConsole();
// Before 3.21 TF.js loads its WASM file by fetch where there is one, and Node's reads no files.
delete globalThis.fetch;
const require = requireFrom("tfjs");
const { loadGraphModel } = require("@tensorflow/tfjs-converter");
const { loadLayersModel } = require("@tensorflow/tfjs-layers");
const tf = { ...require("@tensorflow/tfjs-core"), loadGraphModel, loadLayersModel };

/** The path of an artifact's file. */
function inside(folder, file) {
  const path = join(folder, file);
  if (!path.startsWith(folder + sep)) throw new Error(`${file} is outside of the artifact`);
  return path;
}

/** A TF.js IOHandler for a model folder on disk. */
function fromDisk(path) {
  const weights = async (manifest) => {
    const specs = manifest.flatMap((group) => group.weights);
    const files = manifest.flatMap((group) => group.paths);
    const parts = await Promise.all(files.map((file) => readFile(inside(dirname(path), file))));
    const whole = Buffer.concat(parts);
    return [specs, whole.buffer.slice(whole.byteOffset, whole.byteOffset + whole.byteLength)];
  };
  return { load: async () => tf.io.getModelArtifactsForJSON(JSON.parse(await readFile(path, "utf8")), weights) };
}

async function setBackend(backend) {
  const module = require(`@tensorflow/tfjs-backend-${backend}`);
  if (backend === "wasm") {
    module.setWasmPaths(dirname(require.resolve("@tensorflow/tfjs-backend-wasm")) + sep);
  }
  if (!(await tf.setBackend(backend))) throw new Error(`the backend ${backend} does not start`);
  await tf.ready();
}

let loaded = null;

async function answer(request, content) {
  try {
    if (loaded?.path !== request.artifact) {
      const { load } = request.format === "tfjs-layers" ? layers : graph;
      const started = performance.now();
      loaded?.model.dispose();
      loaded = null;
      const model = await load(tf, fromDisk(request.artifact));
      loaded = { path: request.artifact, model, seconds: (performance.now() - started) / 1000 };
    }
    const inputs = parse(content);
    const { inspect, timed } = request;
    const how = { train: request.signature.endsWith("_train_step"), inspect, timed };
    const { outputs, seconds, backend, kernels, nodes } = await loaded.model.run(inputs, how);
    const note = `kernels on ${backend}: ${kernels.join(", ")}`;
    return { seconds, load: loaded.seconds, backend, note, nodes, outputs: serialize(outputs) };
  } catch (error) {
    // After one failure a TF.js backend may give wrong answers to what follows.
    error.restart = true;
    throw error;
  }
}

await setBackend(process.argv[2]);
await serve({ tfjs: tf.version_core, node: process.versions.node }, answer);
