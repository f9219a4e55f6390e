// Counts what is computed on WebGPU: what a library says of itself is no proof of where it ran.
let count = 0;

for (const name of ["dispatchWorkgroups", "dispatchWorkgroupsIndirect"]) {
  const original = globalThis.GPUComputePassEncoder?.prototype[name];
  if (!original) continue;
  GPUComputePassEncoder.prototype[name] = function (...size) {
    count += 1;
    return original.apply(this, size);
  };
}

/** Runs `compute`, and throws where it dispatched nothing -> [its result, how many dispatches]. */
export async function counted(compute) {
  const before = count;
  const result = await compute();
  if (count === before) throw new Error("nothing was computed on WebGPU");
  return [result, count - before];
}
