// Reads and writes safetensors: 8 bytes of little-endian header length, a JSON header, the data.
// https://github.com/huggingface/safetensors#format

const TYPES = {
  F32: Float32Array,
  F64: Float64Array,
  I8: Int8Array,
  I16: Int16Array,
  I32: Int32Array,
  I64: BigInt64Array,
  U8: Uint8Array,
  U16: Uint16Array,
  U32: Uint32Array,
  U64: BigUint64Array,
  BOOL: Uint8Array,
};

/** Bytes -> {name: {dtype, shape, data}}, each `data` a typed array of its own. */
export function parse(bytes) {
  const buffer = bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength);
  const length = Number(new DataView(buffer).getBigUint64(0, true));
  const header = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 8, length)));
  delete header.__metadata__;
  const tensors = {};
  for (const [name, { dtype, shape, data_offsets: [start, end] }] of Object.entries(header)) {
    if (!TYPES[dtype]) throw new Error(`JavaScript has no dtype ${dtype} (input ${name})`);
    // A slice is aligned to its type, as a view into the file need not be.
    tensors[name] = { dtype, shape, data: new TYPES[dtype](buffer.slice(8 + length + start, 8 + length + end)) };
  }
  return tensors;
}

/** {name: {dtype, shape, data}} -> bytes; `metadata` is {name: text}. */
export function serialize(tensors, metadata) {
  const header = metadata ? { __metadata__: metadata } : {};
  let offset = 0;
  for (const [name, { dtype, shape: said, data }] of Object.entries(tensors)) {
    // A backend may give other values than the shape that it says has room for: how many there are
    // is what the reader can compare with what there should be.
    const shape = said.reduce((size, side) => size * side, 1) === data.length ? said : [data.length];
    header[name] = { dtype, shape, data_offsets: [offset, offset += data.byteLength] };
  }
  let text = JSON.stringify(header);
  text += " ".repeat((8 - (new TextEncoder().encode(text).length % 8)) % 8);
  const head = new TextEncoder().encode(text);
  const bytes = new Uint8Array(8 + head.length + offset);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(head.length), true);
  bytes.set(head, 8);
  let at = 8 + head.length;
  for (const { data } of Object.values(tensors)) {
    bytes.set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength), at);
    at += data.byteLength;
  }
  return bytes;
}
