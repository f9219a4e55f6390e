// In the page: an .onnx file in ONNX Runtime Web, on WASM or WebGPU.
import { call } from "../onnx_session.mjs";
import { counted } from "./dispatches.mjs";
import { given, sent } from "./exchange.mjs";

let ort = null;
let session = null;

window.portproof = {
  async start({ backend }) {
    // Not the one of `onnxruntime-web/all`, whose older shaders read integers of 8 bits as others.
    ort = await import(`onnxruntime-web/${backend}`);
    ort.env.wasm.wasmPaths = new URL("../node_modules/onnxruntime-web/dist/", import.meta.url).href;
    this.backend = backend;
  },
  async unload() {
    await session?.release();
    session = null;
    return 0;
  },
  async load(address) {
    // Weights that lie in a file beside the model.
    const file = `${address}.data`;
    const there = (await fetch(file, { method: "HEAD" })).ok;
    const externalData = there ? [{ path: decodeURIComponent(file.split("/").at(-1)), data: file }] : [];
    session = await ort.InferenceSession.create(address, { executionProviders: [this.backend], externalData });
  },
  async run({ byRow, inputs: from, outputs: to }) {
    const inputs = await given(from);
    const compute = () => call(ort, session, inputs, byRow);
    const [{ outputs, seconds }, dispatches] = this.backend === "webgpu" ? await counted(compute) : [await compute(), 0];
    const note = dispatches ? `${dispatches} dispatches on WebGPU` : "";
    return { seconds, backend: this.backend, note, outputs: await sent(outputs, to) };
  },
};
