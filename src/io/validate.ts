/**
 * Schemas for configuration files, on zod: building blocks whose messages say what is expected.
 * Model configs use them in src/models/config.ts, adapter configs in src/lora/peft_config.ts.
 */
import { z } from 'zod';
import { type ErrorCode, FusedLoraError } from '../base/errors';
import type { JsonObject } from './json';

/** Building blocks of schemas for configuration files; their messages say what is expected. */
export const expected = {
  /** An integer of at least `min`, and at most the limit that is set here. */
  integer: (min: number, max = Number.MAX_SAFE_INTEGER) => {
    const error = `an integer of at least ${min}`;
    return z
      .int({ error })
      .min(min, { error })
      .max(max, { error: `at most ${max}, which is the limit here` });
  },
  /** A number in [min, max), or [min, max] with `closed`. */
  number: (min: number, max: number, closed = false) => {
    const error = `a number from ${min} to ${max}${closed ? '' : ' (below it)'}`;
    const base = z.number({ error }).min(min, { error });
    return closed ? base.max(max, { error }) : base.lt(max, { error });
  },
  boolean: () => z.boolean({ error: 'true or false' }),
  string: () => z.string({ error: 'a string' }),
  oneOf: <const T extends readonly [string, ...string[]]>(values: T) =>
    z.enum(values, { error: `one of ${values.map((value) => JSON.stringify(value)).join(', ')}` }),
};

function valueAt(json: unknown, path: readonly PropertyKey[]): unknown {
  return path.reduce<unknown>((value, key) => (value as Record<PropertyKey, unknown> | undefined)?.[key], json);
}

/**
 * Checks a JSON object against a schema.
 *
 * @throws FusedLoraError with this code, naming the file, and
 *   of every bad field its name, value and what was expected.
 */
export function validate<S extends z.ZodType>(
  schema: S,
  json: JsonObject,
  file: string,
  code: ErrorCode = 'INVALID_CONFIG',
): z.output<S> {
  const result = schema.safeParse(json);
  if (result.success) return result.data;
  const problems = result.error.issues.map(({ path, message }) => {
    const value = valueAt(json, path);
    const shown = value === undefined ? 'is missing' : `is ${JSON.stringify(value)?.slice(0, 100)}`;
    return `field "${path.join('.')}" ${shown}; expected ${message}`;
  });
  throw new FusedLoraError(code, `${file}: ${problems.join('. And ')}. Correct the file, or fetch it again.`);
}
