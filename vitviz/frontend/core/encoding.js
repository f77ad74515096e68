// Reads a payload: "VVZ1", header length, JSON header, then raw arrays (the writing side is vitviz/ui/server/payloads.py).

const MAGIC = "VVZ1";
const ARRAY_TYPES = { float16: Uint16Array, float32: Float32Array, uint16: Uint16Array, int32: Int32Array, uint8: Uint8Array };

// -> { arrays: { name: typed array }, shapes: { name: [..] }, meta }. The arrays are views: nothing is copied. Half precision becomes
// single, which not every browser has an array type for.
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
    const array = new ArrayType(buffer, start + entry.offset, length);
    arrays[name] = entry.dtype === "float16" ? single(array) : array;
    shapes[name] = entry.shape;
  }
  return { arrays, shapes, meta: header.meta };
}

let singles = null; // every number of half precision by its bits, made when the first one comes

// Half precision as its bits -> Float32Array (IEEE 754: a sign, 5 bits of exponent, 10 of fraction).
function single(halves) {
  singles ??= Float32Array.from({ length: 65536 }, (_, bits) => {
    const [sign, exponent, fraction] = [bits & 0x8000 ? -1 : 1, (bits >> 10) & 31, bits & 1023];
    if (exponent === 31) return fraction ? NaN : sign * Infinity;
    return sign * (exponent ? 2 ** (exponent - 15) * (1 + fraction / 1024) : 2 ** -14 * (fraction / 1024));
  });
  const numbers = new Float32Array(halves.length);
  for (let i = 0; i < numbers.length; i++) numbers[i] = singles[halves[i]]; // Float32Array.from takes ten times as long
  return numbers;
}
