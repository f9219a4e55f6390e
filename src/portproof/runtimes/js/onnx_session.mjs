// A session of ONNX Runtime's JavaScript API, which is one for Node and for pages.
import { byRow } from "./rows.mjs";

const DTYPES = {
  F32: "float32",
  F64: "float64",
  I8: "int8",
  I16: "int16",
  I32: "int32",
  I64: "int64",
  U8: "uint8",
  U16: "uint16",
  U32: "uint32",
  U64: "uint64",
  BOOL: "bool",
};
const NAMES = Object.fromEntries(Object.entries(DTYPES).map(([name, dtype]) => [dtype, name]));

/** One call, or one for each row: {name: {dtype, shape, data}} -> {outputs, seconds}. */
export async function call(ort, session, inputs, rowByRow) {
  if (!rowByRow) return await once(ort, session, inputs);
  let seconds = 0;
  const compute = async (row) => {
    const result = await once(ort, session, row);
    seconds += result.seconds;
    return result.outputs;
  };
  return { outputs: await byRow(compute, inputs), seconds };
}

async function once(ort, session, inputs) {
  const feeds = Object.entries(inputs).map(([name, { dtype, shape, data }]) => [
    name,
    new ort.Tensor(DTYPES[dtype], data, shape),
  ]);
  const started = performance.now();
  const results = await session.run(Object.fromEntries(feeds));
  const seconds = (performance.now() - started) / 1000;
  const outputs = {};
  for (const [name, tensor] of Object.entries(results)) {
    if (!NAMES[tensor.type]) throw new Error(`output ${name} is ${tensor.type}`);
    outputs[name] = { dtype: NAMES[tensor.type], shape: [...tensor.dims], data: tensor.data };
  }
  return { outputs, seconds };
}
