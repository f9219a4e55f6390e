// In the page: a .tflite file in LiteRT.js, on its WASM or its WebGPU accelerator.
import { loadAndCompile, loadLiteRt, Tensor } from "@litertjs/core";
import { byRow } from "../rows.mjs";
import { counted } from "./dispatches.mjs";
import { given, sent } from "./exchange.mjs";

const NAMES = new Map([[Float32Array, "F32"], [Int32Array, "I32"], [Int8Array, "I8"], [Uint8Array, "U8"]]);
let model = null;

/** One call: {name: {shape, data}} -> {name: {dtype, shape, data}}. */
async function call(signature, inputs) {
  const feed = Object.fromEntries(
    Object.entries(inputs).map(([name, { shape, data }]) => [name, new Tensor(data, shape)]),
  );
  const results = await (signature ? model.run(signature, feed) : model.run(feed));
  const outputs = {};
  for (const [name, result] of Object.entries(results)) {
    const tensor = result.accelerator === "wasm" ? result : await result.moveTo("wasm");
    const data = tensor.toTypedArray().slice();
    if (!NAMES.has(data.constructor)) throw new Error(`output ${name} is a ${data.constructor.name}`);
    outputs[name] = { dtype: NAMES.get(data.constructor), shape: [...tensor.type.layout.dimensions], data };
    tensor.delete();
  }
  Object.values(feed).forEach((tensor) => tensor.delete());
  return outputs;
}

window.portproof = {
  async start({ backend }) {
    // With JSPI WebGPU and the CPU may take turns in a model: the other builds cannot wait for a buffer.
    const jspi = backend === "webgpu";
    await loadLiteRt(new URL("../node_modules/@litertjs/core/wasm/", import.meta.url).href, { jspi });
    this.backend = backend;
  },
  unload() {
    model?.delete();
    model = null;
    return 0;
  },
  async load(address) {
    model = await loadAndCompile(address, { accelerator: this.backend });
  },
  async run({ signature, byRow: oneByOne, inputs: from, outputs: to }) {
    const inputs = await given(from);
    const started = performance.now();
    const compute = (feed) => call(signature, feed);
    const all = () => (oneByOne ? byRow(compute, inputs) : compute(inputs));
    const [outputs, dispatches] = this.backend === "webgpu" ? await counted(all) : [await all(), 0];
    const seconds = (performance.now() - started) / 1000;
    // On WASM the accelerator is XNNPACK; the built-in kernels compute what it does not take.
    const where = dispatches ? `WebGPU, by ${dispatches} dispatches` : "XNNPACK";
    const note = model.isFullyAccelerated ? `all of it in ${where}` : `some of it outside ${where}`;
    return { seconds, backend: this.backend, note, outputs: await sent(outputs, to) };
  },
};
