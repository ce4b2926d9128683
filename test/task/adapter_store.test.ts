/**
 * Adapters kept by content: added once, checked when they are opened and verified, and never put on
 * another base than their own.
 */
import * as fs from 'node:fs';
import * as path from 'node:path';
import { makeProgram } from '../../src/cli/program';
import { runProgram } from '../../src/cli/run';
import { writeSafetensors } from '../../src/io/safetensors';
import { addAdapter, saveAdapter } from '../../src/lora';
import { loadModel } from '../../src/models';
import {
  changesOf,
  checkKept,
  checksumOfModel,
  findKept,
  keepAdapter,
  listKept,
  removeKept,
  sampleOfModel,
} from '../../src/task/adapter_store';
import { openTextModel } from '../../src/task/text_model';
import { errorMessage, failure, temporaryFolder } from '../io/temporary';
import { fillAdapters } from '../lora/models';
import { TINY } from './tasks';

jest.setTimeout(60_000);

const dir = temporaryFolder();
const store = path.join(dir, 'store');
const [intent, toxic] = ['intent', 'toxic'].map((name) => path.join(dir, name)) as [string, string];
const base = path.join(dir, 'base');

beforeAll(() => {
  fs.cpSync(TINY, base, { recursive: true });
  for (const [i, folder] of [intent, toxic].entries()) {
    const { model } = loadModel(base, { task: 'sequence-classification', numLabels: 2, seed: i });
    addAdapter(model, { r: 2, targetModules: ['query'] }, { seed: i });
    fillAdapters(model);
    saveAdapter(model, folder, { baseModel: i === 0 ? '../base' : base });
    model.dispose();
  }
});

it('keeps an adapter once, by name and id, with its base by its whole path', async () => {
  const { kept, existed } = await keepAdapter(store, intent);
  expect(existed).toBe(false);
  expect(kept).toMatchObject({ name: 'intent', base: { name: base, sha256: checksumOfModel(base) } });
  expect(path.basename(kept.folder)).toBe(kept.id);
  expect((await keepAdapter(store, intent)).existed).toBe(true);
  const copy = path.join(dir, 'copy');
  fs.cpSync(intent, copy, { recursive: true });
  expect(await keepAdapter(store, copy, { model: base })).toMatchObject({ existed: true, kept: { name: 'intent' } });
  await keepAdapter(store, toxic, { name: 'guard' });
  expect(listKept(store).map(({ name }) => name)).toEqual(['guard', 'intent']);
  expect(findKept(store, kept.id.slice(0, 6))).toEqual(findKept(store, 'intent'));
  expect(await failure('INVALID_ARGUMENT', keepAdapter(store, toxic, { name: 'intent' }))).toContain(
    `the name of another adapter (${kept.id})`,
  );
  expect(errorMessage('INVALID_ARGUMENT', () => findKept(store, 'spam'))).toMatch(
    /has no adapter "spam"; it has: guard/,
  );
  expect(listKept(path.join(dir, 'nowhere'))).toEqual([]);
});

it('opens on its base alone, and names both where it is another one', async () => {
  const { folder } = findKept(store, 'intent');
  const opened = await openTextModel(folder);
  expect(opened.baseModel).toBe(base);
  opened.model.dispose();
  const other = path.join(dir, 'other');
  const { model } = loadModel(TINY, { task: 'sequence-classification', numLabels: 2 });
  const [name, parameter] = model.namedParameters()[0]!;
  const values = parameter.data().slice();
  values[values.length - 1]! += 1;
  fs.cpSync(TINY, other, { recursive: true });
  const tensors = model
    .namedParameters()
    .map(([at, p]) => [at, { dtype: 'F32', shape: p.shape, data: () => (at === name ? values : p.data()) }] as const);
  writeSafetensors(path.join(other, 'model.safetensors'), tensors as never);
  model.dispose();
  const message = await failure('STATE_MISMATCH', openTextModel(folder, { baseModel: other }));
  expect(message).toContain(`belongs on the base model ${base} (${sampleOfModel(base).slice(0, 16)})`);
  expect(message).toContain(`${other} is another one (${sampleOfModel(other).slice(0, 16)})`);
  checkKept(intent, other);
});

it('tells what was changed since it was added', async () => {
  const kept = findKept(store, 'guard');
  expect(changesOf(kept)).toEqual([]);
  const file = path.join(kept.folder, 'adapter_model.safetensors');
  const bytes = fs.readFileSync(file);
  bytes[bytes.length - 1]! ^= 1;
  fs.writeFileSync(file, bytes);
  expect(await failure('INVALID_CHECKPOINT', openTextModel(kept.folder))).toContain(`${file}: has the checksum`);
  fs.rmSync(file);
  expect(changesOf(kept)).toEqual([`${file}: is missing`]);
  await keepAdapter(store, toxic, { name: 'guard' });
  expect(changesOf(findKept(store, 'guard'))).toEqual([]);
});

/** Runs a command in this process. */
async function run(...args: string[]): Promise<{ code: unknown; stdout: string; stderr: string }> {
  const shown = { stdout: '', stderr: '' };
  const spies = (['stdout', 'stderr'] as const).map((name) =>
    jest.spyOn(process[name], 'write').mockImplementation((text) => {
      shown[name] += String(text);
      return true;
    }),
  );
  try {
    await runProgram(makeProgram(), args);
    return { code: process.exitCode, ...shown };
  } finally {
    for (const spy of spies) spy.mockRestore();
    process.exitCode = undefined;
  }
}

it('from the command line: add, list, verify, remove', async () => {
  const at = path.join(dir, 'shelf');
  const adapters = (...args: string[]) => run('adapters', ...args, '--store', at);
  expect(await adapters('add', intent, toxic)).toMatchObject({
    code: 0,
    stdout: expect.stringMatching(/^intent \(\w{16}\): /),
  });
  expect((await adapters('list')).stdout).toMatch(/^name .*\nintent .*\ntoxic .*base\n$/s);
  expect(await adapters('verify')).toMatchObject({ code: 0, stdout: '2 adapters are as added, and the bases too\n' });
  fs.appendFileSync(path.join(findKept(at, 'toxic').folder, 'adapter_config.json'), ' ');
  const wrong = await adapters('verify');
  expect(wrong.code).toBe(1);
  expect(wrong.stderr).toContain('adapter_config.json: has the checksum');
  expect(await adapters('remove', 'toxic')).toMatchObject({
    code: 0,
    stdout: expect.stringMatching(/^toxic \(.*removed\n$/),
  });
  expect((await adapters('remove')).stderr).toContain('adapters remove: which?');
  expect((await adapters('lst')).stderr).toContain('"lst" is no action (was list meant?)');
  removeKept(findKept(at, 'intent'));
  expect((await adapters('list')).stdout).toBe(`${at}: no adapters\n`);
});
