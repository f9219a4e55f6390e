// Runs one signature of a TF.js graph model on named tensors, on whichever backend is set.
import * as tf from "@tensorflow/tfjs-core";
import { loadGraphModel } from "@tensorflow/tfjs-converter";

const DTYPES = { F32: "float32", I32: "int32", BOOL: "bool" };
const NAMES = { float32: "F32", int32: "I32", bool: "BOOL" };

/** Loads a model from an IOHandler or an address, and returns `run`. */
export async function load(source) {
  const model = await loadGraphModel(source);
  const signature = model.modelSignature;
  if (!signature?.inputs || !signature?.outputs) throw new Error("model.json has no signature");
  return (inputs) => run(model, signature, inputs);
}

/** {name: {dtype, shape, data}} by the signature's names -> {outputs in the same form, seconds}. */
async function run(model, signature, inputs) {
  const feed = {};
  for (const [name, { dtype, shape, data }] of Object.entries(inputs)) {
    if (!signature.inputs[name]) throw new Error(`the signature has no input ${name}`);
    feed[signature.inputs[name].name] = tf.tensor(data, shape, DTYPES[dtype]);
  }
  const names = Object.keys(signature.outputs);
  const started = performance.now();
  const tensors = await model.executeAsync(feed, names.map((name) => signature.outputs[name].name));
  const list = Array.isArray(tensors) ? tensors : [tensors];
  const values = await Promise.all(list.map((tensor) => tensor.data()));
  const seconds = (performance.now() - started) / 1000;
  const outputs = {};
  list.forEach((tensor, i) => {
    if (!NAMES[tensor.dtype]) throw new Error(`output ${names[i]} is ${tensor.dtype}`);
    outputs[names[i]] = { dtype: NAMES[tensor.dtype], shape: tensor.shape, data: values[i] };
  });
  tf.dispose([list, Object.values(feed)]);
  return { outputs, seconds };
}
