// In the page: a .tflite file in LiteRT.js on its WASM accelerator.
import { loadAndCompile, loadLiteRt, Tensor } from "@litertjs/core";
import { parse, serialize } from "/safetensors.mjs";

const NAMES = new Map([[Float32Array, "F32"], [Int32Array, "I32"]]);
let model = null;

/** One call: {name: {shape, data}} -> {name: {dtype, shape, data}}. */
async function call(signature, inputs) {
  const feed = Object.fromEntries(
    Object.entries(inputs).map(([name, { shape, data }]) => [name, new Tensor(data, shape)]),
  );
  const results = await model.run(signature, feed);
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

/** A batch, a row at a time. */
async function callByRow(signature, inputs) {
  const [first] = Object.values(inputs);
  if (!first.shape[0]) throw new Error("takes a row at a time, and this batch has none");
  const rows = [];
  for (let i = 0; i < first.shape[0]; i++) {
    const row = Object.entries(inputs).map(([name, { dtype, shape: [count, ...rest], data }]) => {
      const size = data.length / count;
      return [name, { dtype, shape: [1, ...rest], data: data.slice(i * size, (i + 1) * size) }];
    });
    rows.push(await call(signature, Object.fromEntries(row)));
  }
  return Object.fromEntries(Object.keys(rows[0]).map((name) => [name, joined(rows.map((row) => row[name]))]));
}

function joined(rows) {
  const { dtype, shape: [, ...rest], data: first } = rows[0];
  const data = new first.constructor(first.length * rows.length);
  rows.forEach((row, i) => data.set(row.data, i * first.length));
  return { dtype, shape: [rows.length, ...rest], data };
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
  async run({ signature, byRow }) {
    const inputs = parse(new Uint8Array(await (await fetch("/inputs")).arrayBuffer()));
    const started = performance.now();
    const outputs = await (byRow ? callByRow : call)(signature, inputs);
    const seconds = (performance.now() - started) / 1000;
    await fetch("/outputs", { method: "PUT", body: serialize(outputs) });
    // On WASM the accelerator is XNNPACK; the built-in kernels compute what it does not take.
    const note = model.isFullyAccelerated ? "all of it in XNNPACK" : "some of it outside XNNPACK";
    return { seconds, backend: this.backend, note };
  },
};
