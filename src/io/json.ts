/**
 * Reading JSON files whose content nobody vouches for: encoding, object or not, errors with the
 * path.
 * Whether the fields are what they should be is checked with validate.ts.
 */
import * as fs from 'node:fs';
import * as path from 'node:path';
import { type ErrorCode, FusedLoraError } from '../base/errors';

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

/** Reads a whole file; FILE_NOT_FOUND names the file, the reason and what it is needed for. */
export function readFileBytes(file: string, purpose: string): Buffer {
  try {
    return fs.readFileSync(file);
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? String(error);
    const folder = path.dirname(file);
    const reason = code === 'ENOENT' && !fs.existsSync(folder) ? `there is no folder ${folder}` : code;
    throw new FusedLoraError('FILE_NOT_FOUND', `${file}: can not be read (${reason}). It is needed ${purpose}.`, {
      cause: error,
    });
  }
}

/**
 * Reads a JSON file that must hold an object.
 *
 * @param code the error for content that is not a JSON
 *   object; a missing file is always FILE_NOT_FOUND.
 */
export function readJsonObject(file: string, purpose: string, code: ErrorCode): JsonObject {
  const text = decodeUtf8(readFileBytes(file, purpose));
  if (text === undefined) throw new FusedLoraError(code, `${file}: is not UTF-8 text. Fetch or write the file again.`);
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new FusedLoraError(
      code,
      `${file}: is not JSON (${(error as Error).message}). Fetch or write the file again.`,
      {
        cause: error,
      },
    );
  }
  if (!isJsonObject(value))
    throw new FusedLoraError(code, `${file}: holds no JSON object. Fetch or write the file again.`);
  return value;
}
