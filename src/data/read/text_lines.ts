/**
 * Text files in pieces of whole lines, with what makes a file no text found before any of it is
 * used. Bytes come from bytes.ts; csv.ts, tsv.ts and jsonl.ts take the lines apart.
 */
import { invalidData, readBytes } from './bytes';
import type { DataFile } from './files';

/** Whole lines of a file. */
export interface TextPiece {
  /** Ends with a line feed, but for the last of the file. */
  text: string;
  /** Number of its first line, from 1. */
  firstLine: number;
}

/** A line is kept whole in memory; a longer one is no text of sentences. */
const MAX_LINE_BYTES = 1 << 26;

/**
 * The text of a UTF-8 file without a byte order mark.
 *
 * @throws FusedLoraError FILE_NOT_FOUND; INVALID_DATA for an empty or damaged file, bytes that are
 * no UTF-8, NUL bytes, or a line above 64 MiB, with the line.
 */
export async function* readTextPieces(file: DataFile): AsyncGenerator<TextPiece> {
  let line = 1;
  let rest: Buffer[] = [];
  let restBytes = 0;
  let first = true;
  const decode = (bytes: Buffer): TextPiece => {
    const piece = { text: textOf(bytes, file.name, line), firstLine: line };
    if (first && piece.text.startsWith('\uFEFF')) piece.text = piece.text.slice(1);
    if (first && /^[^\n"]*\r[^\n]/.test(piece.text.slice(0, 10_000))) {
      throw invalidData(`${file.name}:1`, "its lines end in CR alone; let them end in LF, for example: tr '\\r' '\\n'");
    }
    first = false;
    line += count(bytes, 10, bytes.length);
    return piece;
  };
  for await (const chunk of readBytes(file)) {
    const nul = chunk.indexOf(0);
    if (nul >= 0) {
      const before = rest.reduce((sum, part) => sum + count(part, 10, part.length), 0);
      throw invalidData(
        `${file.name}:${line + before + count(chunk, 10, nul)}`,
        'has a NUL byte, so it is no text in UTF-8. UTF-16 must be converted first: iconv -f UTF-16 -t UTF-8',
      );
    }
    const end = chunk.lastIndexOf(10) + 1;
    if (end === 0) {
      rest.push(chunk);
      restBytes += chunk.length;
      if (restBytes > MAX_LINE_BYTES) {
        throw invalidData(
          `${file.name}:${line}`,
          `is a line of more than ${MAX_LINE_BYTES >> 20} MiB; a data file has one row a line. Is it another format?`,
        );
      }
      continue;
    }
    yield decode(Buffer.concat([...rest, chunk.subarray(0, end)]));
    rest = [chunk.subarray(end)];
    restBytes = chunk.length - end;
  }
  const last = Buffer.concat(rest);
  if (last.length > 0) yield decode(last);
}

/**
 * The lines of {@link readTextPieces} in groups, without line ends (LF or CRLF) and the empty end
 * of the last line.
 */
export async function* readLines(file: DataFile): AsyncGenerator<{ lines: string[]; firstLine: number }> {
  for await (const { text, firstLine } of readTextPieces(file)) {
    const lines = text.split('\n').map((line) => (line.endsWith('\r') ? line.slice(0, -1) : line));
    if (lines.at(-1) === '') lines.pop();
    yield { lines, firstLine };
  }
}

function count(bytes: Buffer, byte: number, end: number): number {
  let found = 0;
  for (let at = bytes.indexOf(byte); at >= 0 && at < end; at = bytes.indexOf(byte, at + 1)) found++;
  return found;
}

const utf8 = () => new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

function textOf(bytes: Buffer, name: string, firstLine: number): string {
  try {
    return utf8().decode(bytes);
  } catch {
    throw invalidData(
      `${name}:${firstLine + firstInvalidLine(bytes)}`,
      'is not valid UTF-8; convert the file, for example: iconv -f ISO-8859-1 -t UTF-8',
    );
  }
}

/** Which line is no UTF-8, from 0. */
function firstInvalidLine(bytes: Buffer): number {
  let line = 0;
  for (let from = 0; ; line++) {
    const end = bytes.indexOf(10, from);
    try {
      utf8().decode(bytes.subarray(from, end < 0 ? bytes.length : end));
    } catch {
      return line;
    }
    if (end < 0) return line;
    from = end + 1;
  }
}
