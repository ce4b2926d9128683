/**
 * Options with values of another type, from callers without types: told by a FusedLoraError with
 * the name of the option, never by an error of the library itself. Right values: trials.ts.
 */
import { FusedLoraError } from '../../../src/base/errors';
import { OPTION_ROWS } from '../../../src/task/options/option_table';
import { resolveFineTune } from '../../../src/task/options/resolve_fine_tune';
import { TINY } from '../tasks';

const VALUES = [null, 0, -1, Number.NaN, 'words', '', true, [], [null], [[]], {}, { a: {} }, () => {}, Symbol('s'), 3n];

/** Those that take anything, or are looked at where they are used. */
const NAMES = OPTION_ROWS.filter(({ name }) => name !== '').map(({ name }) => name);

const given = (name: string, value: unknown): object => {
  const [outer, inner] = name.split('.') as [string, string | undefined];
  return { [outer]: inner === undefined ? value : { [inner]: value } };
};

it.each(NAMES)('%s', (name) => {
  const leaks: string[] = [];
  for (const value of VALUES) {
    try {
      resolveFineTune({ model: TINY, ...given(name, value) } as never);
    } catch (error) {
      const { message } = error as Error;
      const named = message.includes(name.split('.').at(-1) as string);
      if (!(error instanceof FusedLoraError && named))
        leaks.push(
          `${typeof value} ${JSON.stringify(value, (_, v: unknown) => (typeof v === 'bigint' ? 'n' : v))}: ${(error as Error).name}: ${message}`,
        );
    }
  }
  expect(leaks).toEqual([]);
});
