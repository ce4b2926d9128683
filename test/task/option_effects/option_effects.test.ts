/**
 * Each option does what its row in the option table says: between two values of it, what the row
 * names changes, and of `no bits` the weights do not. The values are in trials.ts.
 */
import * as fs from 'node:fs';
import * as path from 'node:path';
import type { FineTuneOptions } from '../../../src';
import { OPTION_ROWS, type OptionRow } from '../../../src/task/options/option_table';
import { run } from '../../cli/command';
import { commitOf, HubServer } from '../../io/hub/server';
import { temporaryFolder } from '../../io/temporary';
import { TINY } from '../tasks';
import { defaults, listing, type Observed, observe, observeFolder, observeProgram } from './observe';
import { makeInputs, trialsOf } from './trials';

const dir = temporaryFolder();
const inputs = makeInputs(dir);
process.env['FUSED_LORA_MPI'] = path.join(dir, 'libmpi.so');
const trials = trialsOf(inputs, dir);

const keyOf = ({ name, flags = '' }: OptionRow) => name || (flags.split(' ')[0] as string);
const COMMAND_LINE = ['--config', '--json', '--quiet', '--verbose'];
const HUB = ['revision', 'offline', 'token', 'cacheDir'];
const CALLED = ['callbacks', 'onNotice'];

let runs = 0;
const optionsFor = (...given: Partial<FineTuneOptions>[]): FineTuneOptions =>
  Object.assign(defaults(inputs.model, TINY, path.join(dir, `run-${++runs}`)), ...given);

/** What the row of an option says must differ between two runs, and what must not. */
function expectChanges(key: string, a: Observed, b: Observed): void {
  const { changes } = OPTION_ROWS.find((row) => keyOf(row) === key) as OptionRow;
  expect(changes.length).toBeGreaterThan(0);
  for (const change of changes) {
    if (change === 'no bits') {
      expect([key, change, b.bits]).toEqual([key, change, a.bits]);
      expect(a.bits).toBeDefined();
    } else expect([key, change, b[change]]).not.toEqual([key, change, a[change]]);
  }
}

it('is tried for every option of the table', () => {
  const tried = [...Object.keys(trials), ...COMMAND_LINE, ...HUB, ...CALLED];
  expect(tried.sort()).toEqual(OPTION_ROWS.map(keyOf).sort());
});

it.each(Object.entries(trials))('%s', async (key, { a, b, both = {}, stopped }) => {
  const one = async (own: Partial<FineTuneOptions>) => {
    const options = optionsFor(both, own);
    if (key === 'fused') return observeProgram(options);
    if (stopped) {
      const stop = new AbortController();
      const callbacks = [{ onStep: ({ step }: { step: number }) => step === 2 && stop.abort() }];
      const first = await observe({
        ...options,
        overwrite: false,
        resume: false,
        checkpointEvery: 1,
        signal: stop.signal,
        callbacks: callbacks as never,
      });
      expect(first.refusal).toBe('ABORTED');
    }
    return observe(options);
  };
  expectChanges(key, await one(a), await one(b));
});

it.each(CALLED)('%s', async (key) => {
  let calls = 0;
  const given = { callbacks: [{ onStep: () => void calls++ }], onNotice: () => void calls++ };
  const without = await observe(optionsFor());
  const before = { ...without, calls };
  const withIt = await observe(optionsFor({ [key]: given[key as keyof typeof given] }));
  expectChanges(key, before, { ...withIt, calls });
});

describe('of the hub', () => {
  const server = new HubServer();
  const before = { ...process.env };
  beforeAll(async () => {
    await server.start();
    const filesOf = (folder: string) =>
      Object.fromEntries(
        ['config.json', 'model.safetensors'].map((name) => [name, fs.readFileSync(path.join(folder, name))]),
      );
    const refs = { main: commitOf('a'), v1: commitOf('b') };
    server.repositories.set('models/someone/tiny', { refs, files: filesOf(inputs.model) });
    server.repositories.set('models/someone/private', { refs, files: filesOf(inputs.model), token: 'secret' });
    Object.assign(process.env, { HF_ENDPOINT: server.endpoint, HF_HOME: path.join(dir, 'hf') });
  });
  afterAll(async () => {
    process.env = before;
    await server.stop();
  });

  const one = async (options: Partial<FineTuneOptions>): Promise<Observed> => {
    server.requests.length = 0;
    const seen = await observe(optionsFor({ model: 'someone/tiny' }, options));
    const requests = server.requests.map(({ path: at, token }) => `${at} ${token}`);
    return { ...seen, 'requests to the hub': requests, downloads: listing(path.join(dir, 'cache')).length };
  };

  it.each([
    ['revision', { revision: 'main' }, { revision: 'v1' }],
    ['offline', { offline: false }, { offline: true }],
    ['token', { model: 'someone/private' }, { model: 'someone/private', token: 'secret' }],
    ['cacheDir', {}, { cacheDir: path.join(dir, 'cache') }],
  ])('%s', async (key, a, b) => expectChanges(key, await one(a), await one(b)));
});

describe('of the command line', () => {
  const one = async (...args: string[]): Promise<Observed> => {
    const output = path.join(dir, `run-${++runs}`);
    const common = ['--model', inputs.model, '--tokenizer', TINY, '--train', inputs.csv, '--output', output];
    const { code, stdout, stderr } = await run(['train', ...common, '--device', 'cpu', ...args]);
    expect([code, stderr]).toEqual([0, expect.anything()]);
    const lasting = (text: string) => text.replaceAll(output, 'OUTPUT').replace(/\d+(\.\d+)?/g, '#');
    return { ...observeFolder(output), 'output of the command': [lasting(stdout), lasting(stderr)] };
  };

  let plain: Observed;
  beforeAll(async () => {
    plain = await one();
  });

  it.each([
    ['--json', ['--json']],
    ['--quiet', ['--quiet']],
  ])('%s', async (key, args) => expectChanges(key, plain, await one(...args)));

  it('--verbose', async () => {
    const many = ['--epochs', '20'];
    expectChanges('--verbose', await one(...many), await one(...many, '--verbose'));
  });

  it('--config', async () => {
    const file = path.join(dir, 'run.json');
    fs.writeFileSync(file, JSON.stringify({ seed: 7 }));
    expectChanges('--config', plain, await one('--config', file));
  });
});
