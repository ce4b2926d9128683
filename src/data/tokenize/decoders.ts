/**
 * Decoders of tokenizer.json: tokens back to text. Nothing that is trained depends on them.
 * The ids are turned to tokens in tokenizer.ts.
 */
import { requireKnown } from './components';
import { BYTE_CHARACTERS } from './normalizers';
import { compilePattern } from './pattern';
import { type Component, componentsIn, field } from './refused';

/** A step: tokens to texts, which are joined after the last. */
export type Decoder = (tokens: string[]) => string[];

export function decoderOf(component: Component, place: string): Decoder {
  requireKnown('decoder', component);
  const { where } = component;
  switch (component.type) {
    case 'Sequence': {
      const steps = componentsIn(component, 'decoders', place).map((step, i) =>
        decoderOf(step, `${place}.decoders[${i}]`),
      );
      return (tokens) => steps.reduce((step, decoder) => decoder(step), tokens);
    }
    case 'ByteLevel':
      return (tokens) => [Buffer.concat(tokens.map(tokenBytes)).toString()];
    case 'ByteFallback':
      return byteFallback;
    case 'WordPiece': {
      const prefix = field(component, 'prefix', 'string', '##');
      const clean = field(component, 'cleanup', 'boolean', true);
      const joined = (token: string) => (token.startsWith(prefix) ? token.slice(prefix.length) : ` ${token}`);
      return (tokens) =>
        tokens.map((token, i) => (i === 0 ? token : joined(token))).map((token) => (clean ? cleanUp(token) : token));
    }
    case 'Metaspace': {
      const replacement = field(component, 'replacement', 'string', '▁');
      const first = component.fields['prepend_scheme'] === 'never' ? ' ' : '';
      return (tokens) => tokens.map((token, i) => token.replaceAll(replacement, i === 0 ? first : ' '));
    }
    case 'BPEDecoder': {
      const suffix = field(component, 'suffix', 'string', '</w>');
      return (tokens) => tokens.map((token, i) => token.replaceAll(suffix, i === tokens.length - 1 ? '' : ' '));
    }
    case 'CTC': {
      const pad = field(component, 'pad_token', 'string', '<pad>');
      const delimiter = field(component, 'word_delimiter_token', 'string', '|');
      const clean = field(component, 'cleanup', 'boolean', true);
      return (tokens) =>
        tokens
          .filter((token, i) => token !== tokens[i - 1])
          .map((token) => token.replaceAll(pad, ''))
          .map((token) => (clean ? cleanUp(token).replaceAll(delimiter, ' ') : token));
    }
    case 'Fuse':
      return (tokens) => [tokens.join('')];
    case 'Strip': {
      const content = field(component, 'content', 'string');
      const [start, stop] = [field(component, 'start', 'count'), field(component, 'stop', 'count')];
      return (tokens) => tokens.map((token) => stripped([...token], content, start, stop));
    }
    default: {
      const pattern = compilePattern(component.fields['pattern'], where);
      const content = field(component, 'content', 'string');
      return (tokens) =>
        tokens.map((token) => {
          let [out, last] = ['', 0];
          for (const [start, end] of pattern.find(token)) {
            out += token.slice(last, start) + content;
            last = end;
          }
          return out + token.slice(last);
        });
    }
  }
}

const BYTES = new Map(BYTE_CHARACTERS.map((character, byte) => [character, byte]));

/** Bytes that a token stands for; as UTF-8 where it has a character that stands for none. */
function tokenBytes(token: string): Buffer {
  const bytes = [...token].map((character) => BYTES.get(character));
  return bytes.includes(undefined) ? Buffer.from(token) : Buffer.from(bytes as number[]);
}

/** `<0xC3>` `<0xA9>` is é. */
function byteFallback(tokens: string[]): string[] {
  const out: string[] = [];
  let bytes: number[] = [];
  const flush = () => {
    if (bytes.length === 0) return;
    try {
      out.push(new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(Uint8Array.from(bytes)));
    } catch {
      out.push('\ufffd'.repeat(bytes.length));
    }
    bytes = [];
  };
  for (const token of tokens) {
    const byte = /^<0x([0-9A-Fa-f]{2})>$/.exec(token);
    if (byte) bytes.push(Number.parseInt(byte[1] as string, 16));
    else {
      flush();
      out.push(token);
    }
  }
  flush();
  return out;
}

function stripped(characters: string[], content: string, start: number, stop: number): string {
  let [from, to] = [0, characters.length];
  while (from < start && characters[from] === content) from++;
  while (characters.length - to < stop && to > 0 && characters[to - 1] === content) to--;
  return characters.slice(from, to).join('');
}

const CLEAN: [string, string][] = [
  [' .', '.'],
  [' ?', '?'],
  [' !', '!'],
  [' ,', ','],
  [" ' ", "'"],
  [" n't", "n't"],
  [" 'm", "'m"],
  [' do not', " don't"],
  [" 's", "'s"],
  [" 've", "'ve"],
  [" 're", "'re"],
];

function cleanUp(text: string): string {
  return CLEAN.reduce((clean, [from, to]) => clean.replaceAll(from, to), text);
}
