/**
 * Opens a number of adapters from files beside each other on one base, answers a batch of which
 * each text has another adapter, and prints the memory that they take over the size of their files,
 * and how much longer a batch of one text takes by another adapter than the batch before. Called by
 * benchmarks/adapters.ts:
 *
 *     tsx resident_adapters.ts COUNT MODEL FOLDER
 */
import * as fs from 'node:fs';
import * as path from 'node:path';
import { addAdapter, deleteAdapter, loadAdapter, loadModel, saveAdapter } from '../../src';
import { MixedEvaluator } from '../../src/task/mixed_evaluator';
import { summarize } from '../lib/measure';
import { ALL_LINEARS } from '../lib/models';

const [count = '1', folder = '', work = ''] = process.argv.slice(2);
const BUDGET = 2048;
const TURNS = 300;

/** Resident bytes after a collection of garbage (node --expose-gc). */
function residentBytes(): number {
  globalThis.gc?.();
  return process.memoryUsage.rss();
}

const textOf = (length: number) => ({
  inputIds: Int32Array.from({ length }, (_, i) => 100 + i),
  tokenTypeIds: new Int32Array(length),
});

async function main(): Promise<void> {
  const { model } = loadModel(folder);
  addAdapter(model, ALL_LINEARS, { name: 'first' });
  const saved = saveAdapter(model, work, { name: 'first', baseModel: folder });
  const fileBytes = fs.statSync(path.join(saved, 'adapter_model.safetensors')).size;
  // The base is resident, with one adapter, before it is measured.
  const texts = Array.from({ length: 8 }, () => textOf(32));
  const run = async (evaluator: MixedEvaluator, names: string[]) => void (await evaluator.run(texts, names, BUDGET));
  const one = new MixedEvaluator(model, ['first']);
  await run(
    one,
    texts.map(() => 'first'),
  );
  const before = residentBytes();
  one.dispose();
  deleteAdapter(model, 'first');
  const names = Array.from({ length: Number(count) }, (_, i) => `adapter${i}`);
  for (const name of names) loadAdapter(model, saved, { name });
  using all = new MixedEvaluator(model, names);
  for (let at = 0; at < names.length; at += texts.length)
    await run(
      all,
      texts.map((_, i) => names[(at + i) % names.length] as string),
    );
  const bytes = residentBytes() - before + fileBytes;

  // One short text a batch: by one adapter, and by another each time, in turns.
  const text = [textOf(8)];
  const secondsBy = async (name: string) => {
    const start = performance.now();
    await all.run(text, [name], BUDGET);
    return (performance.now() - start) / 1000;
  };
  const [same, other]: [number[], number[]] = [[], []];
  for (let i = 0; i < TURNS; i++) {
    const name = names[i % names.length] as string;
    other.push(await secondsBy(name));
    same.push(await secondsBy(name));
  }
  const changed = other.map((seconds, i) => seconds - (same[i] as number));
  console.log(
    JSON.stringify({
      bytes,
      fileBytes: fileBytes * names.length,
      seconds: summarize(same).median,
      change: summarize(changed).median,
    }),
  );
}

main().catch((error: unknown) => {
  console.error(error);
  process.exitCode = 1;
});
