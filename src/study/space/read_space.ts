/**
 * A space from a file: JSON or YAML. What stands in it is checked by space.ts; names of presets are
 * looked up in presets.ts.
 */
import * as path from 'node:path';
import { FusedLoraError } from '../../base/errors';
import { nearNames } from '../../base/near';
import { decodeUtf8, isJsonObject, parseJsonObject } from '../../io/json';
import { readWhole } from '../../io/open';
import { SPACE_PRESETS } from './presets';
import type { Space } from './space';

/** Far more than a space by hand. */
const MOST_BYTES = 1 << 20;

const refuse = (problem: string) => new FusedLoraError('INVALID_ARGUMENT', problem);

function parseYaml(text: string, file: string): unknown {
  // Loaded when it is asked for: a fifth of what every start of the library would take.
  const { parseDocument } = require('yaml') as typeof import('yaml');
  // 1e-4 is a number in YAML 1.2's core schema; aliases could make a small file a large one.
  try {
    const document = parseDocument(text, { version: '1.2', schema: 'core' });
    const [error] = document.errors;
    if (error) throw refuse(`${file}:${error.linePos?.[0].line ?? 1}: is not YAML (${error.message.split('\n')[0]})`);
    return document.toJS({ maxAliasCount: 20 });
  } catch (cause) {
    if (cause instanceof FusedLoraError) throw cause;
    throw new FusedLoraError('INVALID_ARGUMENT', `${file}: is not YAML (${(cause as Error).message})`, { cause });
  }
}

/**
 * @param place the name of a preset, or a .yaml, .yml or .json file.
 * @throws FusedLoraError FILE_NOT_FOUND; INVALID_ARGUMENT naming the file, of YAML with the line.
 */
export function readSpace(place: string): Space {
  if (Object.hasOwn(SPACE_PRESETS, place)) return SPACE_PRESETS[place] as Space;
  const ending = path.extname(place).toLowerCase();
  const names = Object.keys(SPACE_PRESETS);
  if (!['.yaml', '.yml', '.json'].includes(ending)) {
    const [near] = nearNames(place, names, 1);
    throw refuse(
      `space is "${place}"; it must be ${names.join(' or ')}, or a .yaml or .json file.${near ? ` Was ${near} meant?` : ''}`,
    );
  }
  const bytes = readWhole(place, { maxBytes: MOST_BYTES, remedy: `Give a file, or one of ${names.join(', ')}.` });
  const text = decodeUtf8(bytes);
  if (text === undefined) throw refuse(`${place}: is not UTF-8 text`);
  const value = ending.startsWith('.y')
    ? parseYaml(text, place)
    : parseJsonObject(text, place, 'INVALID_ARGUMENT', 'Give parameters by name.');
  if (!isJsonObject(value)) throw refuse(`${place}: must hold parameters by name, such as "learningRate"`);
  return value as Space;
}
