// In the page: a .tflite file in LiteRT.js on its WASM accelerator.
import { loadAndCompile, loadLiteRt, Tensor } from "@litertjs/core";
import { byRow } from "/rows.mjs";
import { parse, serialize } from "/safetensors.mjs";

const NAMES = new Map([[Float32Array, "F32"], [Int32Array, "I32"], [Int8Array, "I8"], [Uint8Array, "U8"]]);
let model = null;

/** One call: {name: {shape, data}} -> {name: {dtype, shape, data}}. */
async function call(signature, inputs) {
  const feed = Object.fromEntries(
    Object.entries(inputs).map(([name, { shape, data }]) => [name, new Tensor(data, shape)]),
  );
  const results = await (signature ? model.run(signature, feed) : model.run(feed));
  const outputs = {};
  for (const [name, tensor] of Object.entries(results)) {
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
    await loadLiteRt("/node_modules/@litertjs/core/wasm/");
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
  async run({ signature, byRow: oneByOne }) {
    const inputs = parse(new Uint8Array(await (await fetch("/inputs")).arrayBuffer()));
    const started = performance.now();
    const compute = (feed) => call(signature, feed);
    const outputs = await (oneByOne ? byRow(compute, inputs) : compute(inputs));
    const seconds = (performance.now() - started) / 1000;
    await fetch("/outputs", { method: "PUT", body: serialize(outputs) });
    // On WASM the accelerator is XNNPACK; the built-in kernels compute what it does not take.
    const note = model.isFullyAccelerated ? "all of it in XNNPACK" : "some of it outside XNNPACK";
    return { seconds, backend: this.backend, note };
  },
};
