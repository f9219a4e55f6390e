// A batch of named tensors, {name: {dtype, shape, data}}, computed a row at a time.

/** Calls `compute` with each row, and joins what it gives. */
export async function byRow(compute, inputs) {
  const [first] = Object.values(inputs);
  if (!first.shape[0]) throw new Error("takes a row at a time, and this batch has none");
  const rows = [];
  for (let i = 0; i < first.shape[0]; i++) {
    const row = Object.entries(inputs).map(([name, { dtype, shape: [count, ...rest], data }]) => {
      const size = data.length / count;
      return [name, { dtype, shape: [1, ...rest], data: data.slice(i * size, (i + 1) * size) }];
    });
    rows.push(await compute(Object.fromEntries(row)));
  }
  return Object.fromEntries(Object.keys(rows[0]).map((name) => [name, joined(rows.map((row) => row[name]))]));
}

function joined(rows) {
  const { dtype, shape: [, ...rest], data: first } = rows[0];
  const data = new first.constructor(first.length * rows.length);
  rows.forEach((row, i) => data.set(row.data, i * first.length));
  return { dtype, shape: [rows.length, ...rest], data };
}
