/**
 * Labelled sentences of made-up words with SST-2's lengths, for benchmarks that read text. Token
 * ids without a tokenizer are batches.ts.
 */
import type { TextExample } from '../../src';
import { generator, sst2Lengths } from './batches';

const SYLLABLES = ['ba', 'ko', 'li', 'mu', 'ne', 'ra', 'so', 'ti', 'vu', 'za'];

/** @param count of sentences; what they are is a function of the seed. */
export function sentencesOfWords(count: number, seed: number): TextExample[] {
  const random = generator(seed);
  const syllable = () => SYLLABLES[Math.floor(random() * SYLLABLES.length)] as string;
  // A word is about two tokens; two are at the ends.
  return sst2Lengths(count, seed).map((tokens, i) => ({
    text: Array.from({ length: Math.max(1, Math.round((tokens - 2) / 2)) }, () => syllable() + syllable()).join(' '),
    label: i % 2 === 0 ? 'positive' : 'negative',
  }));
}
