/** Text files whole, with what makes a data file unusable found before any row is used. */
import * as fs from 'node:fs';
import { FusedLoraError } from '../errors';

export function invalidData(place: string, problem: string): FusedLoraError {
  return new FusedLoraError('INVALID_DATA', `${place}: ${problem}`);
}

/**
 * The lines of a UTF-8 file, without a byte order mark, line ends (LF or CRLF) and the empty end of the last line.
 *
 * @throws FusedLoraError FILE_NOT_FOUND; INVALID_DATA for an empty file, bytes that are no UTF-8, or NUL bytes, with the line.
 */
export function readLines(file: string): string[] {
  let bytes: Buffer;
  try {
    bytes = fs.readFileSync(file);
  } catch (cause) {
    const reason = (cause as NodeJS.ErrnoException).code ?? String(cause);
    throw new FusedLoraError(
      'FILE_NOT_FOUND',
      `${file}: can not be read (${reason}). Check the path and permissions.`,
      {
        cause,
      },
    );
  }
  if (bytes.length === 0) throw invalidData(file, 'is empty; give a file with at least one row');
  const nul = bytes.indexOf(0);
  if (nul >= 0) {
    throw invalidData(
      `${file}:${lineOf(bytes, nul)}`,
      'has a NUL byte, so it is no text in UTF-8. UTF-16 must be converted first: iconv -f UTF-16 -t UTF-8',
    );
  }
  const decoder = new TextDecoder('utf-8', { fatal: true });
  let text: string;
  try {
    text = decoder.decode(bytes);
  } catch {
    throw invalidData(
      `${file}:${firstInvalidLine(bytes)}`,
      'is not valid UTF-8; convert the file, for example: iconv -f ISO-8859-1 -t UTF-8',
    );
  }
  const lines = text.split('\n').map((line) => (line.endsWith('\r') ? line.slice(0, -1) : line));
  if (lines.at(-1) === '') lines.pop();
  return lines;
}

function lineOf(bytes: Buffer, offset: number): number {
  let line = 1;
  for (let at = bytes.indexOf(10); at >= 0 && at < offset; at = bytes.indexOf(10, at + 1)) line++;
  return line;
}

function firstInvalidLine(bytes: Buffer): number {
  let line = 1;
  for (let from = 0; from <= bytes.length; line++) {
    const end = bytes.indexOf(10, from);
    const piece = bytes.subarray(from, end < 0 ? bytes.length : end);
    try {
      new TextDecoder('utf-8', { fatal: true }).decode(piece);
    } catch {
      return line;
    }
    if (end < 0) break;
    from = end + 1;
  }
  return line;
}
