/**
 * SentencePiece's text normalization as tokenizer.json carries it (`precompiled_charsmap`): a
 * double-array trie of UTF-8 sequences, and what each becomes. The lookup is that of the crate
 * spm_precompiled, which Python's tokenizers uses in normalizers.ts's `Precompiled`.
 */
import { Refused } from './refused';

/** Bytes that a character may become: the longest of SentencePiece's own has 33. */
const MOST_BYTES = 1000;
/** Graphemes below this many bytes are looked up whole, as the library does. */
const MAX_GRAPHEME_BYTES = 6;
const PRINTABLE = Array.from({ length: 95 }, (_, i) => String.fromCharCode(0x20 + i));

export class PrecompiledCharsmap {
  private readonly trie: Uint32Array;
  private readonly replacements: Uint8Array;
  /**
   * Whether letters, digits and signs of ASCII stay as they are, each a grapheme of its own; maps
   * that fold case change capitals.
   */
  private readonly keepsAscii: boolean;
  private readonly encoder = new TextEncoder();
  private readonly decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

  /**
   * @param base64 4 bytes of trie size, the trie, replacements ended by NUL; numbers are
   * little-endian.
   * @throws Error for what is damaged.
   */
  constructor(base64: string) {
    const bytes = Buffer.from(base64, 'base64');
    const size = bytes.length >= 4 ? bytes.readUInt32LE(0) : Number.NaN;
    if (!(size % 4 === 0 && size > 0 && size + 4 <= bytes.length)) {
      throw new Error(`its precompiled_charsmap is damaged: a trie of ${size} bytes in ${bytes.length}`);
    }
    this.trie = Uint32Array.from({ length: size / 4 }, (_, i) => bytes.readUInt32LE(4 + 4 * i));
    this.replacements = bytes.subarray(4 + size);
    this.keepsAscii = !PRINTABLE.some((character) => this.replacementOf(this.encoder.encode(character)) !== undefined);
  }

  normalize(text: string): string {
    if (this.keepsAscii && /^[\x20-\x7e]*$/.test(text)) return text;
    let out = '';
    for (const segment of graphemesOf(text)) {
      const bytes = this.encoder.encode(segment);
      const whole = bytes.length < MAX_GRAPHEME_BYTES ? this.replacementOf(bytes) : undefined;
      if (whole !== undefined) {
        out += whole;
        continue;
      }
      for (const character of segment) out += this.replacementOf(this.encoder.encode(character)) ?? character;
    }
    return out;
  }

  /** Of the shortest prefix that the trie holds; undefined where there is none. */
  private replacementOf(bytes: Uint8Array): string | undefined {
    let node = offsetOf(this.trie[0] as number);
    for (const byte of bytes) {
      if (byte === 0) return undefined;
      node ^= byte;
      const unit = this.trie[node];
      if (unit === undefined || (unit & 0x800000ff) >>> 0 !== byte) return undefined;
      node ^= offsetOf(unit);
      if ((unit >>> 8) & 1) return this.replacementAt((this.trie[node] ?? 0) & 0x7fffffff);
    }
    return undefined;
  }

  private replacementAt(start: number): string {
    const zero = this.replacements.indexOf(0, start);
    const end = zero < 0 ? this.replacements.length : zero;
    if (end - start > MOST_BYTES) {
      throw new Refused(`its precompiled_charsmap is damaged: a character becomes ${end - start} bytes`);
    }
    return this.decoder.decode(this.replacements.subarray(start, end));
  }
}

const SEGMENTER = new Intl.Segmenter('en', { granularity: 'grapheme' });
/**
 * UTF-16 units that are segmented at a time: the segmenter's time grows with the square of a text.
 */
const WINDOW = 128;

/** Graphemes of a text. All of a window but its last are whole, whatever follows. */
function* graphemesOf(text: string): Generator<string> {
  for (let at = 0, window = WINDOW; at < text.length; ) {
    const part = text.slice(at, at + window);
    const segments = Array.from(SEGMENTER.segment(part), ({ segment }) => segment);
    const last = at + window >= text.length ? segments.length : segments.length - 1;
    // One grapheme that fills the window: letters of hundreds of marks.
    if (last === 0) {
      window *= 2;
      continue;
    }
    for (let i = 0; i < last; i++) {
      at += (segments[i] as string).length;
      yield segments[i] as string;
    }
    window = WINDOW;
  }
}

/** Of a unit of the double array, from its node to its children. */
function offsetOf(unit: number): number {
  return (unit >>> 10) << ((unit & 0x200) >>> 6);
}
