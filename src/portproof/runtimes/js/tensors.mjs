// TF.js tensors from and to {name: {dtype, shape, data}}, and the proof of which backend ran.

const DTYPES = { F32: "float32", I32: "int32", BOOL: "bool" };
const NAMES = { float32: "F32", int32: "I32", bool: "BOOL" };

/** Runs `compute`, and frees all tensors that it made. After an error the backend is not used again. */
export async function freed(tf, compute) {
  tf.engine().startScope();
  const result = await compute();
  tf.engine().endScope();
  return result;
}

/** {name: {dtype, shape, data}} -> {name: tensor}. */
export function feed(tf, inputs) {
  const tensors = Object.entries(inputs).map(([name, { dtype, shape, data }]) => [
    name,
    tf.tensor(data, shape, DTYPES[dtype]),
  ]);
  return Object.fromEntries(tensors);
}

/** Names and tensors -> {name: {dtype, shape, data}}; waits for the values. */
export async function collect(names, tensors) {
  const outputs = {};
  for (const [i, tensor] of tensors.entries()) {
    if (!NAMES[tensor.dtype]) throw new Error(`output ${names[i]} is ${tensor.dtype}`);
    outputs[names[i]] = { dtype: NAMES[tensor.dtype], shape: tensor.shape, data: await tensor.data() };
  }
  return outputs;
}

/**
 * Runs `compute`, which gives outputs -> {outputs, seconds, backend, kernels}. Throws where a
 * kernel that the backend does not have was run, or none.
 */
export async function profiled(tf, compute) {
  let outputs, seconds;
  const timed = async () => {
    const started = performance.now();
    outputs = await compute();
    seconds = (performance.now() - started) / 1000;
    return tf.scalar(0); // `profile` wants tensors back
  };
  const { kernels } = await tf.profile(timed).catch(async (error) => {
    // The profiler loses what a kernel throws, and fails on the outputs that are missing then.
    tf.engine().state.profiling = false;
    await compute();
    throw error;
  });
  return { outputs, seconds, backend: tf.getBackend(), kernels: proven(tf, kernels) };
}

/** Runs `compute` for the time it takes, without the profiler. */
export async function clocked(tf, compute) {
  const started = performance.now();
  const outputs = await compute();
  const seconds = (performance.now() - started) / 1000;
  return { outputs, seconds, backend: tf.getBackend(), kernels: [] };
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
