/**
 * Names a data set and its order in short, so that a run that goes on from a checkpoint can tell
 * that it has the same data. Checkpoints keep it (src/train/checkpoint.ts): what goes into it, and
 * in which order, must stay as it is.
 */
import { createHash } from 'node:crypto';
import type { EncodedExample } from '../tokenize/encoded_example';

const bytesOf = (array: Int32Array) => new Uint8Array(array.buffer, array.byteOffset, array.byteLength);

/**
 * SHA-256 over options, lengths, ids and labels: other data or another order, another fingerprint.
 */
export class Fingerprint {
  private readonly hash;

  /** @param settings what the order depends on; the order of its keys counts. */
  constructor(settings: object) {
    this.hash = createHash('sha256').update(JSON.stringify(settings));
  }

  /** Of all examples before the first of them, or of each before it where they come one by one. */
  lengths(lengths: Int32Array): void {
    this.hash.update(bytesOf(lengths));
  }

  add({ inputIds, tokenTypeIds, label, targets, tokenLabels }: EncodedExample): void {
    this.hash.update(bytesOf(inputIds)).update(bytesOf(tokenTypeIds));
    if (tokenLabels) this.hash.update(bytesOf(tokenLabels));
    if (label !== undefined || targets) this.hash.update(JSON.stringify(label ?? targets));
  }

  /** 32 hexadecimal digits. */
  done(): string {
    return this.hash.digest('hex').slice(0, 32);
  }
}
