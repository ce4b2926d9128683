/**
 * What benchmarks/tune.ts times: trials by a study and by hand, runs with kept states of frozen
 * layers and without, and the memory of several runs at once. Sentences are words.ts.
 */
import { spawnSync } from 'node:child_process';
import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';
import { makeSentimentTask } from '../../examples/sentiment_grammar';
import { type FineTuneOptions, fineTune, KeptStates } from '../../src';
import { tune } from '../../src/study';
import { Journal } from '../../src/study/journal/journal_file';
import { repository } from './folders';
import { allLinears, type ModelName, modelFolder } from './models';
import { sentencesOfWords } from './words';

const TOKENIZER = path.join(repository, 'assets', 'tiny-roberta');

const made = (name: string) => fs.mkdtempSync(path.join(os.tmpdir(), `fused-lora-bench-${name}-`));

async function secondsOf(options: FineTuneOptions): Promise<number> {
  const began = performance.now();
  const { textModel } = await fineTune(options);
  textModel.model.dispose();
  return (performance.now() - began) / 1000;
}

/** Seconds of a trial of a study, and of the same fineTune by hand, in turns. */
export async function trialSeconds(rounds: number): Promise<{ study: number[]; hand: number[] }> {
  const dir = made('tune');
  const task = makeSentimentTask();
  const common = {
    model: TOKENIZER,
    train: task.train.slice(0, 640),
    dev: task.dev.slice(0, 160),
    epochs: 2,
    batchSize: 16,
    device: 'cpu' as const,
  };
  const [study, hand]: [number[], number[]] = [[], []];
  try {
    for (let round = 0; round <= rounds; round++) {
      const outputDir = path.join(dir, `study-${round}`);
      const space = { learningRate: [1e-3], 'lora.r': [8] };
      await tune({ ...common, outputDir, space, trials: 1, repeats: 1, baselines: false });
      const [trial] = new Journal(path.join(outputDir, 'journal.log')).read().trials;
      const seconds = await secondsOf({
        ...common,
        outputDir: path.join(dir, `hand-${round}`),
        learningRate: 1e-3,
        metricForBest: 'accuracy',
        checkpointLimit: 1,
      });
      // The first of each warms up.
      if (round === 0) continue;
      hand.push(seconds);
      study.push(trial?.attributes['trialSeconds'] as number);
    }
  } finally {
    fs.rmSync(dir, { recursive: true, force: true });
  }
  return { study, hand };
}

/** Seconds of head-only trials of 5 epochs with kept states, filling included, and without. */
export async function headSeconds(model: ModelName, trials: number, count: number) {
  const dir = made('head');
  const run = (kind: string, i: number, keepFrozen: KeptStates | false) =>
    secondsOf({
      ...{ model: modelFolder(model), tokenizer: TOKENIZER, method: 'head', epochs: 5, batchSize: 32, device: 'cpu' },
      ...{ train: sentencesOfWords(count, 1), dev: sentencesOfWords(count / 4, 2), learningRate: 1e-4 * (i + 1) },
      ...{ outputDir: path.join(dir, `${kind}-${i}`), keepFrozen },
    });
  try {
    using kept = new KeptStates();
    const [withKept, without]: [number[], number[]] = [[], []];
    for (let i = 0; i < trials; i++) {
      withKept.push(await run('with', i, kept));
      without.push(await run('without', i, false));
    }
    return { with: withKept, without, bytes: kept.bytes.memory };
  } finally {
    fs.rmSync(dir, { recursive: true, force: true });
  }
}

/** Seconds of LoRA on the upper half of the layers, with the lower half's states and without. */
export async function upperSeconds(model: ModelName, rounds: number, count: number) {
  const dir = made('upper');
  const layers = model === 'minilm' ? 6 : 12;
  const upper = Array.from({ length: layers / 2 }, (_, i) => layers / 2 + i);
  const run = (kind: string, keepFrozen: KeptStates | false) =>
    secondsOf({
      ...{ model: modelFolder(model), tokenizer: TOKENIZER, epochs: 1, batchSize: 32, device: 'cpu' },
      ...{ train: sentencesOfWords(count, 1), lora: allLinears(8, upper), keepFrozen },
      outputDir: path.join(dir, kind),
    });
  try {
    using kept = new KeptStates();
    await run('filling', kept);
    const [filled, without]: [number[], number[]] = [[], []];
    for (let i = 0; i < rounds; i++) {
      filled.push(await run(`filled-${i}`, kept));
      without.push(await run(`without-${i}`, false));
    }
    return { filled, without, bytes: kept.bytes.memory };
  } finally {
    fs.rmSync(dir, { recursive: true, force: true });
  }
}

/** Most MiB of a process that trains so many runs at once. */
export function memoryOf(runs: number, model: ModelName): number {
  const dir = made('together');
  try {
    const file = path.join(__dirname, '..', 'workers', 'together.ts');
    const args = [...process.execArgv, file, String(runs), modelFolder(model), TOKENIZER, dir];
    const { stdout, stderr, status } = spawnSync(process.execPath, args, { encoding: 'utf8' });
    if (status !== 0) throw new Error(`together.ts: ${stderr.slice(-2000)}`);
    return (JSON.parse(stdout.trim().split('\n').at(-1) as string) as { peakMebibytes: number }).peakMebibytes;
  } finally {
    fs.rmSync(dir, { recursive: true, force: true });
  }
}
