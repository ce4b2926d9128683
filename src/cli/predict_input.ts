/**
 * What `fused-lora predict` reads, in pieces as they come: a slow pipe is answered line by line, a
 * fast one in batches. Data files are read by src/data/read; the command itself is predict.ts.
 */
import * as fs from 'node:fs';
import { StringDecoder } from 'node:string_decoder';
import { FusedLoraError } from '../base/errors';
import type { Example } from '../data/examples/example';
import type { ColumnOptions } from '../data/read/columns';
import { isJsonObject } from '../io/json';
import { openToRead } from '../io/open';

/** Most examples that are predicted together: enough to sort by length, few enough to stream. */
export const PIECE = 1024;
/**
 * Characters of the longest line: without a limit a file without line ends would fill the memory.
 */
const MOST_CHARACTERS = 64 << 20;

export type LineFormat = 'text' | 'jsonl';

/**
 * The lines of a stream: each piece holds what a read brought, at most {@link PIECE} lines, so that
 * nothing waits for lines that are not there yet. No more is read while a piece is worked on than
 * the stream's own buffer.
 *
 * @param signal ends a stream that gives nothing.
 * @throws FusedLoraError ABORTED; INVALID_DATA for a line that no memory should hold.
 */
export async function* linePieces(
  stream: NodeJS.ReadableStream & { destroy?(error?: Error): unknown },
  name: string,
  signal: AbortSignal,
): AsyncGenerator<{ lines: string[]; firstLine: number }> {
  const decoder = new StringDecoder('utf8');
  let rest = '';
  let firstLine = 1;
  const stop = () => stream.destroy?.();
  signal.addEventListener('abort', stop, { once: true });
  const whole = (text: string) => text.split('\n').map((line) => (line.endsWith('\r') ? line.slice(0, -1) : line));
  const pieces = function* (lines: string[]) {
    for (let from = 0; from < lines.length; from += PIECE) {
      const piece = lines.slice(from, from + PIECE);
      yield { lines: piece, firstLine };
      firstLine += piece.length;
    }
  };
  try {
    if (signal.aborted) throw aborted(signal);
    for await (const bytes of stream) {
      const text = rest + decoder.write(bytes as Buffer);
      const end = text.lastIndexOf('\n');
      rest = text.slice(end + 1);
      if (rest.length > MOST_CHARACTERS) {
        const line = firstLine + text.split('\n').length - 1;
        throw new FusedLoraError(
          'INVALID_DATA',
          `${name}:${line}: has more than ${MOST_CHARACTERS} characters; give one text a line`,
        );
      }
      if (end < 0) continue;
      const complete = whole(text.slice(0, end));
      if (firstLine === 1 && complete[0]?.startsWith('\ufeff')) complete[0] = complete[0].slice(1);
      yield* pieces(complete);
    }
    rest += decoder.end();
    if (rest !== '') yield* pieces(whole(firstLine === 1 ? rest.replace(/^\ufeff/, '') : rest));
  } catch (error) {
    throw signal.aborted ? aborted(signal) : error;
  } finally {
    signal.removeEventListener('abort', stop);
  }
  // A destroyed stream may also just end.
  if (signal.aborted) throw aborted(signal);
}

const aborted = (signal: AbortSignal) =>
  new FusedLoraError('ABORTED', 'stopped while texts were read', { cause: signal.reason });

/** A text file, opened now, so that a missing one is an error before anything is computed. */
export function openText(file: string): fs.ReadStream {
  return fs.createReadStream(file, { fd: openToRead(file), highWaterMark: 1 << 18 });
}

/**
 * Examples of lines: texts, or objects such as {"text": "…"}. Empty lines of the latter are passed
 * over; of the former each is a text, so that the output has a line for every line.
 */
export async function* exampleLines(
  pieces: AsyncIterable<{ lines: string[]; firstLine: number }>,
  name: string,
  format: LineFormat,
  columns: Pick<ColumnOptions, 'textColumn' | 'textPairColumn'>,
): AsyncGenerator<Example[]> {
  for await (const { lines, firstLine } of pieces) {
    if (format === 'text') {
      yield lines.map((text, i) => ({ text, place: `${name}:${firstLine + i}` }));
      continue;
    }
    const examples = lines.flatMap((line, i) =>
      line.trim() === '' ? [] : [jsonExample(line, `${name}:${firstLine + i}`, columns)],
    );
    if (examples.length > 0) yield examples;
  }
}

function jsonExample(
  line: string,
  place: string,
  { textColumn, textPairColumn }: Pick<ColumnOptions, 'textColumn' | 'textPairColumn'>,
): Example {
  const wrong = (problem: string) => new FusedLoraError('INVALID_DATA', `${place}: ${problem}`);
  let row: unknown;
  try {
    row = JSON.parse(line);
  } catch (cause) {
    throw wrong(`is not JSON (${(cause as Error).message}); with --format jsonl each line is an object`);
  }
  if (!isJsonObject(row)) throw wrong('is not a JSON object, such as {"text": "…"}');
  const tokens = row['tokens'] ?? row['words'];
  if (textColumn === undefined && Array.isArray(tokens)) {
    if (!tokens.every((word) => typeof word === 'string')) throw wrong('its tokens must be strings');
    return { tokens, place };
  }
  const field = (column: string | number) => {
    const value = row[column];
    if (typeof value === 'string') return value;
    const has =
      value === undefined ? `it has ${Object.keys(row).join(', ') || 'none'}` : `it is ${JSON.stringify(value)}`;
    throw wrong(`has no text in the field "${column}"; ${has}`);
  };
  const text = field(textColumn ?? ('sentence' in row ? 'sentence' : 'text'));
  return { text, ...(textPairColumn !== undefined && { textPair: field(textPairColumn) }), place };
}

/** Examples of a data file, as many at once as are predicted together. */
export async function* inPieces(examples: AsyncIterable<Example>): AsyncGenerator<Example[]> {
  let piece: Example[] = [];
  for await (const example of examples) {
    piece.push(example);
    if (piece.length < PIECE) continue;
    yield piece;
    piece = [];
  }
  if (piece.length > 0) yield piece;
}
