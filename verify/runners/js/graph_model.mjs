// Runs one signature of a TF.js graph model on named tensors, on whichever backend is set.
// In Node and in pages, which come by TF.js in different ways: it is handed in as `tf`.
import { collect, feed, profiled } from "./tensors.mjs";

/** Loads a model from an IOHandler or an address, and returns `run(inputs)`. */
export async function load(tf, source) {
  const model = await tf.loadGraphModel(source);
  const signature = model.modelSignature;
  if (!signature?.inputs || !signature?.outputs) throw new Error("model.json has no signature");
  return (inputs) => run(tf, model, signature, inputs);
}

async function run(tf, model, signature, inputs) {
  const given = {};
  for (const [name, tensor] of Object.entries(feed(tf, inputs))) {
    if (!signature.inputs[name]) throw new Error(`the signature has no input ${name}`);
    given[signature.inputs[name].name] = tensor;
  }
  const names = Object.keys(signature.outputs);
  const wanted = names.map((name) => signature.outputs[name].name);
  return profiled(tf, async () => collect(names, [await model.executeAsync(given, wanted)].flat()));
}
