/** Text from files on its way to a terminal: errors, names, JSON, what commands print. */
import * as fs from 'node:fs';
import { FusedLoraError } from '../../src/base/errors';
import { listNames, nearNames } from '../../src/base/near';
import { printable, printableJson, printableName } from '../../src/base/printable';
import { showFigures } from '../../src/cli/figures';
import { progress } from '../../src/cli/progress';
import { formatError } from '../../src/cli/run';
import { alignColumns } from '../../src/cli/text';

const RAW = 'a\x1b[2Jb\x07c\x9bd\u202ee\u2066f\u200fg\x7fh\ri';
const ESCAPED = 'a\\x1b[2Jb\\x07c\\x9bd\\u202ee\\u2066f\\u200fg\\x7fh\\ri';
// biome-ignore lint/suspicious/noControlCharactersInRegex: these are what must not be there.
const CONTROL = /[\0-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/;

/** What a function writes to a stream. */
function written(stream: NodeJS.WriteStream, work: () => void): string {
  const parts: string[] = [];
  const spy = jest.spyOn(stream, 'write').mockImplementation((text) => {
    parts.push(String(text));
    return true;
  });
  try {
    work();
  } finally {
    spy.mockRestore();
  }
  return parts.join('');
}

it('escapes what steers a terminal, and leaves letters, line feeds and tabs', () => {
  expect(printable(RAW)).toBe(ESCAPED);
  expect(printable('ein Maß\tвода 水 👩‍🚀\nzweite Zeile')).toBe('ein Maß\tвода 水 👩‍🚀\nzweite Zeile');
  expect(printableName('two\nlines\tand\x1b')).toBe('two\\nlines\\tand\\x1b');
});

it('leaves out the middle of what is too long, so that the end still says what to do', () => {
  const text = printable(`file.json: ${'x'.repeat(3_000_000)} is wrong. Correct the file.\nsecond line`);
  expect(text.length).toBeLessThan(2200);
  expect(text).toMatch(
    /^file\.json: x+ … \(\d+ characters left out\) … x+ is wrong\. Correct the file\.\nsecond line$/,
  );
  expect(printableName('y'.repeat(1000)).length).toBe(201);
});

it('makes JSON of the same value with no raw control in it', () => {
  const value = { [RAW]: [RAW, 'Maß\n'] };
  const text = printableJson(value, 2);
  expect(text).not.toMatch(CONTROL);
  expect(JSON.parse(text)).toEqual(value);
});

it('holds for every message of an error', () => {
  const error = new FusedLoraError('INVALID_DATA', `data.csv: ${RAW} ${'z'.repeat(1_000_000)}. Correct it.`);
  expect(error.message).not.toMatch(CONTROL);
  expect(error.message.length).toBeLessThan(2200);
  expect(error.stack).not.toMatch(CONTROL);
  expect(error.message).toMatch(/^data\.csv: .*Correct it\.$/);
});

it('holds for what commands print: figures, tables, errors of the system, progress', () => {
  const figures = written(process.stdout, () => showFigures(undefined, {}, `label ${RAW}\n`));
  expect(figures).toBe(`label ${ESCAPED}\n`);
  const json = written(process.stdout, () => showFigures(true, { [RAW]: RAW }, ''));
  expect(json).not.toMatch(CONTROL);
  expect(alignColumns([[RAW, 'w'.repeat(3_000_000)]])).toBe(`${ESCAPED}  ${'w'.repeat(200)}…`);
  const system = Object.assign(new Error(`ENOENT: ${RAW}`), { code: 'ENOENT' });
  expect(formatError(system, true)).not.toMatch(CONTROL);
  const shown = written(process.stderr, () => {
    const { onEvaluate } = progress({});
    void onEvaluate?.({ step: 1, epoch: 1, metrics: { [RAW]: 1 }, best: false, seconds: 1 });
  });
  expect(shown).toBe(`step 1 (epoch 1.00): ${ESCAPED} 1.0000\n`);
});

it('compares no names of any length, and lists them short', () => {
  const long = 'n'.repeat(3_000_000);
  expect(nearNames(`${long}a`, [`${long}b`])).toEqual([]);
  expect(nearNames('sentense', ['sentence', long])).toEqual(['sentence']);
  expect(listNames([long, 'b']).length).toBeLessThan(250);
});

it('is the only way out of src: nothing else writes to a terminal', () => {
  const files = fs.readdirSync('src', { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.ts'));
  const writes = files.flatMap((name) =>
    fs
      .readFileSync(`src/${name}`, 'utf8')
      // A call that goes on in the next line.
      .replace(/\.write\(\n\s*/g, '.write(')
      .split('\n')
      .filter((line) => /(stdout|stderr|stream)\.write\(|emitWarning\(|console\.\w/.test(line))
      .map((line) => `${name}: ${line.trim()}`),
  );
  const safe =
    /printable|formatError\(|stoppedBy\(|'\\nstopping after|\| \$\{facts\(event\)\}|json === true \? content/;
  // Lines of predictions are made with printableJson, by predict.ts.
  const rest = writes.filter((line) => !safe.test(line) && !line.startsWith('cli/predict_output.ts'));
  expect(rest).toEqual([]);
});
