/**
 * Which GPU code a binary holds: machine code and PTX by architecture, read from the headers that
 * nvcc puts around them. The layout is not documented; it is that of nvcc 12 and 13, and a binary
 * that is read wrongly fails the package's check.
 * The check: check-binary.mjs.
 */
import { readFileSync } from 'node:fs';

const MAGIC = Buffer.from([0x50, 0xed, 0x55, 0xba]);
const PTX = 1;
/** Set for code of one architecture alone: 90a. */
const SPECIFIC = 0x100000;

/** @returns a Set of names: 'sm_80', 'sm_90a', 'compute_80' */
export function gpuCode(file) {
  const bytes = readFileSync(file);
  const found = new Set();
  for (let at = bytes.indexOf(MAGIC); at >= 0; at = bytes.indexOf(MAGIC, at + MAGIC.length)) {
    const header = bytes.readUInt16LE(at + 6);
    const end = at + header + Number(bytes.readBigUInt64LE(at + 8));
    if (header !== 16 || end > bytes.length) continue;
    for (let entry = at + header; entry < end; ) {
      const kind = bytes.readUInt16LE(entry);
      const suffix = (bytes.readUInt32LE(entry + 40) & SPECIFIC) !== 0 ? 'a' : '';
      found.add(`${kind === PTX ? 'compute' : 'sm'}_${bytes.readUInt32LE(entry + 28)}${suffix}`);
      entry += bytes.readUInt32LE(entry + 4) + Number(bytes.readBigUInt64LE(entry + 8));
    }
  }
  return found;
}
