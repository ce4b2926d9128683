/**
 * Reading JSON files whose content nobody vouches for: encoding, object or not, errors with the
 * path.
 * Whether the fields are what they should be is checked with validate.ts.
 */
import { type ErrorCode, FusedLoraError } from '../base/errors';
import { type OpenOptions, readWhole } from './open';

/** What a JSON file holds. */
export type JsonObject = Record<string, unknown>;

/** True for `{…}`: neither null nor an array. */
export function isJsonObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Decodes UTF-8 without a byte order mark; undefined where the bytes are not UTF-8. */
export function decodeUtf8(bytes: Uint8Array): string | undefined {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    return undefined;
  }
}

/** Nested deeper than any file that is read here, and than recursive code should follow. */
const MOST_DEPTH = 100;
/** Bytes of a configuration or record; a tokenizer may be larger. */
export const MOST_CONFIG_BYTES = 64 << 20;

function isDeep(text: string): boolean {
  let depth = 0;
  for (let i = 0; i < text.length; i++) {
    const c = text.charCodeAt(i);
    if (c === 0x22) {
      i++;
      while (i < text.length && text.charCodeAt(i) !== 0x22) i += text.charCodeAt(i) === 0x5c ? 2 : 1;
    } else if (c === 0x7b || c === 0x5b) {
      if (++depth > MOST_DEPTH) return true;
    } else if (c === 0x7d || c === 0x5d) depth--;
  }
  return false;
}

/**
 * The JSON object that a text is.
 *
 * @param place of the text: a file, or a file with its line.
 * @param remedy the sentence at the end of errors.
 * @throws FusedLoraError of `code`.
 */
export function parseJsonObject(
  text: string,
  place: string,
  code: ErrorCode,
  remedy = 'Fetch or write the file again.',
): JsonObject {
  const fail = (problem: string, cause?: unknown) =>
    new FusedLoraError(code, `${place}: ${problem}. ${remedy}`, { cause });
  if (isDeep(text)) throw fail(`is nested deeper than ${MOST_DEPTH} levels`);
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw fail(`is not JSON (${(cause as Error).message})`, cause);
  }
  if (!isJsonObject(value)) throw fail('holds no JSON object');
  return value;
}

/**
 * Reads a JSON file that must hold an object.
 *
 * @param code the error for content that is not a JSON object; a missing file is always
 * FILE_NOT_FOUND.
 * @param options `inFolder` where the file is one of a folder, not one that the user named.
 */
export function readJsonObject(
  file: string,
  purpose: string,
  code: ErrorCode,
  options: Pick<OpenOptions, 'inFolder'> = {},
): JsonObject {
  const bytes = readWhole(file, {
    ...options,
    remedy: `It is needed ${purpose}.`,
    maxBytes: MOST_CONFIG_BYTES,
  });
  const text = decodeUtf8(bytes);
  if (text === undefined) throw new FusedLoraError(code, `${file}: is not UTF-8 text. Fetch or write the file again.`);
  return parseJsonObject(text, file, code);
}
