// Element types of tensors in files: their sizes, and values of each as fp32 and back.
// Where such tensors lie in a file: safetensors.ts.

/** The element types of the safetensors format that have whole bytes. */
export const DTYPE_BYTES = {
  BOOL: 1,
  U8: 1,
  I8: 1,
  F8_E5M2: 1,
  F8_E4M3: 1,
  F8_E8M0: 1,
  I16: 2,
  U16: 2,
  F16: 2,
  BF16: 2,
  I32: 4,
  U32: 4,
  F32: 4,
  F64: 8,
  I64: 8,
  U64: 8,
  C64: 8,
} as const;

export type TensorDType = keyof typeof DTYPE_BYTES;

/** The element types that {@link toFloat32} converts. */
export const FLOAT_DTYPES: readonly TensorDType[] = ['F32', 'F16', 'BF16', 'F64'];

export function isTensorDType(name: unknown): name is TensorDType {
  return typeof name === 'string' && Object.hasOwn(DTYPE_BYTES, name);
}

/** Value of an IEEE half: sign 1, exponent 5 (bias 15), fraction 10 bits. */
function halfValue(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 31;
  const fraction = bits & 1023;
  if (exponent === 31) return fraction ? Number.NaN : sign * Number.POSITIVE_INFINITY;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  return sign * (1024 + fraction) * 2 ** (exponent - 25);
}

let halfTable: Float32Array | undefined;

/**
 * Converts little-endian elements to float32: F16 and BF16 exactly, F64 rounded to nearest even.
 *
 * @param bytes start of a buffer of its own (byteOffset a multiple of 8).
 */
export function toFloat32(dtype: TensorDType, bytes: Uint8Array): Float32Array {
  const { buffer, byteOffset, byteLength } = bytes;
  switch (dtype) {
    case 'F32':
      return new Float32Array(buffer, byteOffset, byteLength / 4);
    case 'F64':
      return Float32Array.from(new Float64Array(buffer, byteOffset, byteLength / 8));
    case 'F16': {
      halfTable ??= Float32Array.from({ length: 65536 }, (_, bits) => halfValue(bits));
      const source = new Uint16Array(buffer, byteOffset, byteLength / 2);
      const out = new Float32Array(source.length);
      for (let i = 0; i < source.length; i++) out[i] = halfTable[source[i]!]!;
      return out;
    }
    case 'BF16': {
      const source = new Uint16Array(buffer, byteOffset, byteLength / 2);
      const bits = new Uint32Array(source.length);
      for (let i = 0; i < source.length; i++) bits[i] = source[i]! << 16;
      return new Float32Array(bits.buffer);
    }
    default:
      throw new RangeError(`${dtype} is no floating-point type`);
  }
}

/** Rounds float32 values to BF16, to nearest with ties to even; NaN stays NaN. */
export function toBfloat16(values: Float32Array): Uint16Array {
  const bits = new Uint32Array(values.buffer, values.byteOffset, values.length);
  const out = new Uint16Array(values.length);
  for (let i = 0; i < out.length; i++) {
    const b = bits[i]!;
    const notANumber = (b & 0x7fffffff) > 0x7f800000;
    out[i] = notANumber ? (b >>> 16) | 0x40 : (b + 0x7fff + ((b >>> 16) & 1)) >>> 16;
  }
  return out;
}

/**
 * Rounds float32 values to F16, to nearest with ties to
 * even; values of 65520 and more become infinite.
 */
export function toFloat16(values: Float32Array): Uint16Array {
  const bits = new Uint32Array(values.buffer, values.byteOffset, values.length);
  const out = new Uint16Array(values.length);
  for (let i = 0; i < out.length; i++) {
    const b = bits[i]!;
    const sign = (b >>> 16) & 0x8000;
    const magnitude = b & 0x7fffffff;
    let half: number;
    if (magnitude > 0x7f800000) {
      half = 0x7e00;
    } else if (magnitude >= 0x477ff000) {
      half = 0x7c00;
    } else if (magnitude >= 0x38800000) {
      // Normal: rebias the exponent (127 to 15) and round 13
      // fraction bits away; a carry moves into the exponent.
      const rebiased = magnitude - 0x38000000;
      half = (rebiased + 0xfff + ((rebiased >>> 13) & 1)) >>> 13;
    } else {
      // Subnormal: a multiple of 2^-24. The product is exact in float64, rounded here by hand.
      const scaled = Math.abs(values[i]!) * 2 ** 24;
      const floor = Math.floor(scaled);
      const rest = scaled - floor;
      half = floor + (rest > 0.5 || (rest === 0.5 && floor % 2 === 1) ? 1 : 0);
    }
    out[i] = sign | half;
  }
  return out;
}
