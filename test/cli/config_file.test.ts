/** Options from a file: what it may hold, who wins, and what a wrong one is told. */
import * as fs from 'node:fs';
import * as path from 'node:path';
import type { Command } from 'commander';
import { FusedLoraError } from '../../src/base/errors';
import { applyConfig, writeConfig } from '../../src/cli/config_file';
import { trainCommand } from '../../src/cli/train';
import { temporaryFolder } from '../io/temporary';

const dir = temporaryFolder();
let files = 0;

function write(content: string, extension = 'json'): string {
  const file = path.join(dir, `config-${++files}.${extension}`);
  fs.writeFileSync(file, content);
  return file;
}

/** The train command after parsing, its action left out. */
function parse(args: readonly string[]): Command {
  const command = trainCommand().exitOverride();
  command.action(() => {});
  command.parse([...args], { from: 'user' });
  applyConfig(command);
  return command;
}

const BASE = { model: 'm', train: 't.tsv', output: 'o' };
/** As the command has it: a file of several is a list of one. */
const PARSED = { ...BASE, train: ['t.tsv'] };

test('keys are flags without dashes or in camel case; flags win, before the file and after', () => {
  const file = write(
    JSON.stringify({ ...BASE, 'batch-size': 16, maxLength: 64, lr: 1e-3, header: false, report: false, rslora: true }),
  );
  const options = parse(['--lr', '5e-4', '--config', file, '--max-length', '32']).opts();
  expect(options).toMatchObject({
    ...PARSED,
    batchSize: 16,
    maxLength: 32,
    lr: 5e-4,
    header: false,
    report: false,
    rslora: true,
  });
});

test('lists, steps or epoch, and several values', () => {
  const file = write(
    JSON.stringify({
      ...BASE,
      labels: ['bad', 'good'],
      'checkpoint-every': 'epoch',
      'eval-every': 50,
      'lr-pattern': ['a=1e-3', 'b=1e-4'],
    }),
  );
  const options = parse(['--config', file]).opts();
  expect(options).toMatchObject({
    labels: ['bad', 'good'],
    checkpointEvery: 'epoch',
    evalEvery: 50,
    lrPattern: ['a=1e-3', 'b=1e-4'],
  });
});

test('.jsonc may have comments and a comma at the end', () => {
  const file = write('{\n  // the base\n  "model": "m", "train": "t.tsv",\n  "output": "o", /* more */\n}\n', 'jsonc');
  expect(parse(['--config', file]).opts()).toMatchObject(PARSED);
});

test('what is written is read back as the same options', () => {
  const command = parse([
    '--config',
    write(JSON.stringify({ ...BASE, labels: ['x', 'y'], epochs: 2, 'class-weights': [1, 2] })),
  ]);
  const file = path.join(dir, 'run_config.json');
  writeConfig(command, file, { lr: 5e-4, epochs: 3 });
  const { config: _, ...again } = parse(['--config', file]).opts();
  const { config: __, ...first } = command.opts();
  expect(again).toEqual({ ...first, lr: 5e-4 });
  // Flags that say how, not what, stay out.
  expect(Object.keys(JSON.parse(fs.readFileSync(file, 'utf8')) as object)).not.toEqual(
    expect.arrayContaining([expect.stringMatching(/^(config|quiet|resume|json|overwrite)$/)]),
  );
});

const cases: [string, string, RegExp][] = [
  [
    'an unknown key',
    JSON.stringify({ ...BASE, 'batch-sise': 3 }),
    /has no option "batch-sise".*Did you mean "batch-size"/,
  ],
  [
    'a key that belongs on the command line',
    JSON.stringify({ ...BASE, resume: true }),
    /"resume" can not be in a file; give --resume/,
  ],
  [
    'a value of the wrong type',
    JSON.stringify({ ...BASE, epochs: true }),
    /"epochs" is true; it must be a string or a number/,
  ],
  ['a value out of range', JSON.stringify({ ...BASE, 'batch-size': 0 }), /"batch-size" is 0.*whole number from 1/],
  [
    'a value that is not among the choices',
    JSON.stringify({ ...BASE, method: 'lorra' }),
    /"method" is "lorra".*Did you mean lora/,
  ],
  [
    'a flag that is no boolean',
    JSON.stringify({ ...BASE, rslora: 'yes' }),
    /"rslora" is "yes"; it must be true or false/,
  ],
  ['an object as a value', JSON.stringify({ ...BASE, labels: { a: 1 } }), /"labels" is {"a":1}; it must be/],
  ['no object', '[1]', /must hold an object of options/],
  ['no JSON', '{"model": "m",\n "epochs": 3,\n "lr" 5}', /config-\d+\.json:3: is not JSON/],
  [
    'lists in lists without end',
    `{"a":${'['.repeat(50_000)}${']'.repeat(50_000)}}`,
    /config-\d+\.json: is nested too deep/,
  ],
  ['comments in .json', '{\n // no\n}', /comments need the ending \.jsonc/],
  [
    'a missing required option',
    JSON.stringify({ model: 'm', output: 'o' }),
    /--train .* is missing\. Give it here or in .*config-\d+\.json/,
  ],
];
test.each(cases)('%s', (_name, content, message) => {
  const file = write(content);
  let error: unknown;
  try {
    parse(['--config', file]);
  } catch (caught) {
    error = caught;
  }
  expect(error).toBeInstanceOf(FusedLoraError);
  expect((error as FusedLoraError).code).toBe('INVALID_ARGUMENT');
  expect((error as Error).message).toMatch(message);
});

test('a missing file', () => {
  expect(() => parse(['--config', path.join(dir, 'none.json')])).toThrow(/none\.json: can not be read/);
});
