// In the page: a TF.js model on one backend, and on no other.
import * as graph from "../graph_model.mjs";
import * as layers from "../layers_model.mjs";
import { given, sent } from "./exchange.mjs";

let model = null;

async function setBackend(backend, forward) {
  if (!tf.findBackendFactory(backend)) throw new Error(`this TF.js has no backend ${backend}`);
  // TF.js hands small tensors of these two to the CPU unless a flag says not to. Of small models that
  // would be all of them, and nothing of the GPU was seen.
  if (["webgl", "webgpu"].includes(backend) && !forward) tf.env().set(`${backend.toUpperCase()}_CPU_FORWARD`, false);
  tf.wasm.setWasmPaths(new URL("../node_modules/@tensorflow/tfjs-backend-wasm/dist/", import.meta.url).href);
  if (!(await tf.setBackend(backend))) throw new Error(`the backend ${backend} does not start`);
  await tf.ready();
}

window.portproof = {
  async start({ backend, forward }) {
    await setBackend(backend, forward);
    this.note = forward ? "small tensors on the CPU, as by default; " : "";
  },
  /** Unloads the model; how many bytes the backend keeps all the same, for tensors of equal shapes. */
  unload() {
    model?.dispose();
    model = null;
    const { numBytesInGPUAllocated, numBytesAllocatedInGPU } = tf.memory(); // of WebGL, of WebGPU
    return numBytesInGPUAllocated ?? numBytesAllocatedInGPU ?? 0;
  },
  async load(address, format) {
    model = await (format === "tfjs-layers" ? layers : graph).load(tf, address);
  },
  async run({ signature, inspect, timed, inputs: from, outputs: to }) {
    const inputs = await given(from);
    const how = { train: signature.endsWith("_train_step"), inspect, timed };
    const { outputs, seconds, backend, kernels, nodes } = await model.run(inputs, how);
    const note = `${this.note}kernels on ${backend}: ${kernels.join(", ")}`;
    return { seconds, backend, note, nodes, outputs: await sent(outputs, to) };
  },
};
