// Reads a payload: "VVZ1", header length, JSON header, then raw arrays (the writing side is vitviz/ui/server/payloads.py).

const MAGIC = "VVZ1";
const ARRAY_TYPES = { float32: Float32Array, uint16: Uint16Array, int32: Int32Array, uint8: Uint8Array };

// -> { arrays: { name: typed array }, shapes: { name: [..] }, meta }. The arrays are views: nothing is copied.
// Throws an Error for bytes that are no payload, such as the page a server sends for an address it does not know.
export function decode(buffer) {
  const bytes = new Uint8Array(buffer);
  if (bytes.length < 8 || String.fromCharCode(...bytes.subarray(0, 4)) !== MAGIC) {
    throw new Error("not a payload");
  }
  const headerLength = new DataView(buffer).getUint32(4, true);
  const start = 8 + headerLength;
  const header = JSON.parse(new TextDecoder().decode(bytes.subarray(8, start)));
  const arrays = {};
  const shapes = {};
  for (const [name, entry] of Object.entries(header.arrays)) {
    const ArrayType = ARRAY_TYPES[entry.dtype];
    if (!ArrayType) throw new Error(`array ${name} has the unknown type ${entry.dtype}`);
    const length = entry.shape.reduce((product, size) => product * size, 1);
    arrays[name] = new ArrayType(buffer, start + entry.offset, length);
    shapes[name] = entry.shape;
  }
  return { arrays, shapes, meta: header.meta };
}
