// Watches WebGPU: what a library says of itself is no proof of where it ran, or that it ran.
let count = 0;
const errors = [];

for (const name of ["dispatchWorkgroups", "dispatchWorkgroupsIndirect"]) {
  const original = globalThis.GPUComputePassEncoder?.prototype[name];
  if (!original) continue;
  GPUComputePassEncoder.prototype[name] = function (...size) {
    count += 1;
    return original.apply(this, size);
  };
}

const requestDevice = globalThis.GPUAdapter?.prototype.requestDevice;
if (requestDevice) {
  GPUAdapter.prototype.requestDevice = async function (...how) {
    const device = await requestDevice.apply(this, how);
    device.addEventListener("uncapturederror", ({ error }) => errors.push(error.message));
    return device;
  };
}

/**
 * Runs `compute` -> [its result, how many dispatches]. It throws where nothing was dispatched, and where a
 * shader was invalid, which leaves zeros or what was there before for a result.
 */
export async function counted(compute) {
  const before = count;
  const result = await compute();
  if (errors.length) throw new Error(`WebGPU: ${errors[0]}`);
  if (count === before) throw new Error("nothing was computed on WebGPU");
  return [result, count - before];
}
