/**
 * One run of fineTune on a model of some kilobytes, and all that can be seen of it from outside, by
 * the names that src/task/options/option_row.ts has for it. What is tried is in trials.ts.
 */
import { createHash } from 'node:crypto';
import * as fs from 'node:fs';
import * as path from 'node:path';
import { type FineTuneOptions, fineTune } from '../../../src';
import { FusedLoraError } from '../../../src/base/errors';
import { SafetensorsFile } from '../../../src/io/safetensors';
import type { Change } from '../../../src/task/options/option_row';
import { planTraining } from '../../../src/task/plan_training';
import { reviews } from '../tasks';

export type Observed = Partial<Record<Exclude<Change, 'no bits'>, unknown>>;

/** Of an event: what time has no part in, and what is not the option itself. */
const PASSING = ['time', 'elapsed', 'seconds', 'tokensPerSecond', 'settings', 'version', 'machine'];

const passing = (event: Record<string, unknown>) =>
  Object.fromEntries(Object.entries(event).filter(([name]) => !PASSING.includes(name)));

const text = (file: string) => (fs.existsSync(file) ? fs.readFileSync(file, 'utf8') : undefined);

/** Everything below a folder, by path. */
export const listing = (dir: string) =>
  fs.existsSync(dir) ? fs.readdirSync(dir, { recursive: true, encoding: 'utf8' }).sort() : [];

/** What is in the folder that a run wrote. */
export function observeFolder(dir: string): Observed {
  const file = ['adapter_model.safetensors', 'model.safetensors']
    .map((name) => path.join(dir, name))
    .find(fs.existsSync);
  const tensors = file === undefined ? undefined : SafetensorsFile.open(file).tensors;
  return {
    bits: file && createHash('sha256').update(fs.readFileSync(file)).digest('hex'),
    tensors: tensors && [...tensors].map(([name, { shape }]) => `${name} ${shape}`).sort(),
    'adapter_config.json': text(path.join(dir, 'adapter_config.json')),
    'fused_lora.json': text(path.join(dir, 'fused_lora.json')),
    files: listing(dir),
  };
}

/** 24 sentences in batches of 8 for an epoch, in fp32 on the CPU, unless options say otherwise. */
export function defaults(model: string, tokenizer: string, outputDir: string): FineTuneOptions {
  const run = { epochs: 1, batchSize: 8, learningRate: 1e-2, device: 'cpu', precision: 'fp32' } as const;
  return { ...run, model, tokenizer, outputDir, train: reviews(24, 1) };
}

/** A run, whatever comes of it. */
export async function observe(options: FineTuneOptions): Promise<Observed> {
  const log = path.join(options.outputDir, 'events.jsonl');
  const before = text(log)?.length ?? 0;
  const seen: Observed = { 'output folder': options.outputDir };
  try {
    const result = await fineTune(options);
    result.textModel.model.dispose();
    seen.metrics = result.metrics;
  } catch (error) {
    if (!(error instanceof FusedLoraError)) throw error;
    seen.refusal = error.code;
  }
  // An aborted run has a folder, a refused one has none.
  const events = (text(log)?.slice(options.resume ? before : 0) ?? '').split('\n').filter(Boolean);
  const parsed = events.map((line) => JSON.parse(line) as Record<string, unknown>);
  const ofKind = (kind: string) => parsed.filter(({ event }) => event === kind).map(passing);
  for (const kind of ['start', 'step', 'evaluate', 'checkpoint'] as const)
    seen[`${kind} event${kind === 'start' ? '' : 's'}` as 'start event'] = ofKind(kind);
  return { ...seen, ...observeFolder(options.outputDir) };
}

/** The instructions of the program. */
export async function observeProgram({ outputDir: _, model, ...options }: FineTuneOptions): Promise<Observed> {
  const plan = await planTraining({ ...options, model: model as string, batchSizes: [8], measureSeconds: 0 });
  return { program: plan.instructions };
}
