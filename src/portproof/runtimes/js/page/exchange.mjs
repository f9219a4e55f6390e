// A call's inputs and outputs: in the page that asks, or behind addresses of the server's.
import { parse, serialize } from "../safetensors.mjs";

/** Safetensors, as bytes or behind an address -> {name: {dtype, shape, data}}. */
export async function given(inputs) {
  const bytes = typeof inputs === "string" ? await (await fetch(inputs)).arrayBuffer() : inputs;
  return parse(new Uint8Array(bytes));
}

/** {name: {dtype, shape, data}} -> safetensors; nothing where they were sent to an address. */
export async function sent(outputs, address) {
  const bytes = serialize(outputs);
  if (!address) return bytes;
  await fetch(address, { method: "PUT", body: bytes });
  return undefined;
}
