// Runs one signature of a TF.js graph model on named tensors, on whichever backend is set.
// In Node and in pages, which come by TF.js in different ways: it is handed in as `tf`.

const DTYPES = { F32: "float32", I32: "int32", BOOL: "bool" };
const NAMES = { float32: "F32", int32: "I32", bool: "BOOL" };

/** Loads a model from an IOHandler or an address, and returns `run`. */
export async function load(tf, source) {
  const model = await tf.loadGraphModel(source);
  const signature = model.modelSignature;
  if (!signature?.inputs || !signature?.outputs) throw new Error("model.json has no signature");
  return (inputs) => run(tf, model, signature, inputs);
}

/**
 * {name: {dtype, shape, data}} by the signature's names -> {outputs in the same form, seconds,
 * backend, kernels}. Throws where a kernel of another backend than the one set was run, or none.
 */
async function run(tf, model, signature, inputs) {
  const feed = {};
  for (const [name, { dtype, shape, data }] of Object.entries(inputs)) {
    if (!signature.inputs[name]) throw new Error(`the signature has no input ${name}`);
    feed[signature.inputs[name].name] = tf.tensor(data, shape, DTYPES[dtype]);
  }
  const names = Object.keys(signature.outputs);
  const wanted = names.map((name) => signature.outputs[name].name);
  let list, values, seconds;
  const { kernels } = await tf.profile(async () => {
    const started = performance.now();
    const made = await model.executeAsync(feed, wanted);
    list = Array.isArray(made) ? made : [made];
    values = await Promise.all(list.map((tensor) => tensor.data()));
    seconds = (performance.now() - started) / 1000;
    return made;
  });
  const outputs = {};
  list.forEach((tensor, i) => {
    if (!NAMES[tensor.dtype]) throw new Error(`output ${names[i]} is ${tensor.dtype}`);
    outputs[names[i]] = { dtype: NAMES[tensor.dtype], shape: tensor.shape, data: values[i] };
  });
  tf.dispose([list, Object.values(feed)]);
  return { outputs, seconds, backend: tf.getBackend(), kernels: proven(tf, kernels) };
}

/**
 * The names of the kernels that ran, each of which the backend that is set must have. The profiler
 * also lists ops that are made of kernels, as NAME__op.
 */
function proven(tf, kernels) {
  const listed = kernels.map((kernel) => kernel.name).filter((name) => !name.endsWith("__op"));
  const names = [...new Set(listed)].sort();
  const backend = tf.getBackend();
  if (names.length === 0) throw new Error(`the profiler saw no kernel run on ${backend}`);
  const foreign = names.filter((name) => !tf.getKernel(name, backend));
  if (foreign.length) throw new Error(`${backend} has no kernel ${foreign.join(", ")}`);
  return names;
}
