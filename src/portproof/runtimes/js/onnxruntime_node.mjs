// Runs .onnx files in ONNX Runtime's package for Node, on the CPU.
import { call } from "./onnx_session.mjs";
import { redirectConsole, serve } from "./loop.mjs";
import { requireFrom } from "./packages.mjs";
import { parse, serialize } from "./safetensors.mjs";

redirectConsole();
const require = requireFrom("onnxruntime-node");
const ort = require("onnxruntime-node");
let loaded = null;

async function answer(request, content) {
  if (loaded?.path !== request.artifact) {
    await loaded?.session.release();
    loaded = null;
    const started = performance.now();
    const session = await ort.InferenceSession.create(request.artifact, { executionProviders: ["cpu"] });
    loaded = { path: request.artifact, session, seconds: (performance.now() - started) / 1000 };
  }
  const { outputs, seconds } = await call(ort, loaded.session, parse(content), request.by_row);
  return { seconds, load: loaded.seconds, backend: "cpu", outputs: serialize(outputs) };
}

await serve({ "onnxruntime-node": require("onnxruntime-node/package.json").version, node: process.versions.node }, answer);
