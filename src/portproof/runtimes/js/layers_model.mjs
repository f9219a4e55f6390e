// Runs a TF.js layers model on named tensors, and trains it for one step.
// In Node and in pages, which import TF.js in different ways: it is passed in as `tf`.
import { clocked, collect, feed, freed, profiled } from "./tensors.mjs";

// As formats/training_steps.py has it.
const LEARNING_RATE = 0.01;

/** Loads a model from an IOHandler or an address: `run(inputs, { train, timed })`, and `dispose()`. */
export async function load(tf, source) {
  registerChainedOps(tf);
  const model = await tf.loadLayersModel(source);
  const start = model.getWeights().map((weight) => weight.clone());
  return {
    run(inputs, { train, timed }) {
      const how = timed ? clocked : profiled;
      return freed(tf, () => (train ? step(tf, model, start, inputs, how) : infer(tf, model, inputs, how)));
    },
    dispose() {
      model.dispose();
      start.forEach((weight) => weight.dispose());
    },
  };
}

/**
 * Makes ops methods of tensors, as the package @tensorflow/tfjs does for its users: tfjs-layers
 * calls some that way (`Orthogonal` does), and of itself brings none.
 */
function registerChainedOps(tf) {
  const methods = tf.Tensor.prototype;
  methods.flatten ??= function () {
    return tf.reshape(this, [this.size]);
  };
  for (const [name, op] of Object.entries(tf)) {
    if (typeof op !== "function" || name in methods) continue;
    methods[name] = function (...args) {
      return op(this, ...args);
    };
  }
}

async function infer(tf, model, inputs, how) {
  const tensors = feed(tf, inputs);
  const ordered = layerNames(model.inputs).map((name) => named(tensors, name));
  return how(tf, async () => {
    const outputs = model.predict(ordered, { batchSize: Math.max(ordered[0].shape[0] ?? 1, 1) });
    return collect(layerNames(model.outputs), [outputs].flat());
  });
}

/** One SGD step on the mean squared error, from the weights that were loaded, which it leaves. */
async function step(tf, model, start, inputs, how) {
  const tensors = feed(tf, inputs);
  const xs = layerNames(model.inputs).map((name) => named(tensors, name));
  const ys = layerNames(model.outputs).map((name) => named(tensors, `target_${name}`));
  model.compile({ optimizer: tf.train.sgd(LEARNING_RATE), loss: "meanSquaredError" });
  return how(tf, async () => {
    const losses = [await model.trainOnBatch(xs, ys)].flat();
    const trained = model.trainableWeights;
    const values = [tf.scalar(losses[0]), ...trained.map((weight) => weight.read())];
    const outputs = await collect(["loss", ...trained.map((weight) => `weight/${weight.originalName}`)], values);
    model.setWeights(start);
    return outputs;
  });
}

/** A functional model has these as inputNames and outputNames, a Sequential has neither. */
function layerNames(tensors) {
  return tensors.map((tensor) => tensor.sourceLayer.name);
}

function named(tensors, name) {
  if (!tensors[name]) throw new Error(`no input is named ${name}`);
  return tensors[name];
}
