// In the page: an .onnx file in ONNX Runtime Web, on WASM or WebGPU.
import { call } from "/onnx_session.mjs";
import { counted } from "/page/dispatches.mjs";
import { parse, serialize } from "/safetensors.mjs";

let ort = null;
let session = null;

window.portproof = {
  async start({ backend }) {
    // Not the one of `onnxruntime-web/all`, whose older shaders read integers of 8 bits as others.
    ort = await import(`onnxruntime-web/${backend}`);
    ort.env.wasm.wasmPaths = "/node_modules/onnxruntime-web/dist/";
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
  async run({ byRow }) {
    const inputs = parse(new Uint8Array(await (await fetch("/inputs")).arrayBuffer()));
    const compute = () => call(ort, session, inputs, byRow);
    const [{ outputs, seconds }, dispatches] = this.backend === "webgpu" ? await counted(compute) : [await compute(), 0];
    await fetch("/outputs", { method: "PUT", body: serialize(outputs) });
    return { seconds, backend: this.backend, note: dispatches ? `${dispatches} dispatches on WebGPU` : "" };
  },
};
