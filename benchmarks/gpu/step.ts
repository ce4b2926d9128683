/**
 * bench:gpu, whole training steps: LoRA on query and value of RoBERTa, against HF Trainer + PEFT
 * and PyTorch loops in bf16 with SDPA.
 * Our side is the process workers/fused_lora_gpu.ts.
 */
import * as path from 'node:path';
import type { LoraConfig } from '../../src';
import { randomBatches, sortedBatches, type TokenBatch, tokensOf } from '../lib/batches';
import { Child } from '../lib/child';
import { interleave, type Timing } from '../lib/measure';
import { adapterFolder, type ModelName, modelFolder } from '../lib/models';
import { milliseconds } from '../lib/report';
import { type Figure, isMissing, type Section } from '../lib/result';
import { startPython } from '../lib/sides';

const LORA: LoraConfig = { r: 8, loraAlpha: 16, targetModules: ['query', 'value'] };
const BATCH_SIZE = 32;
const LEARNING_RATE = 1e-5;

interface Opened {
  /** Seconds of all batches of a group. */
  turn: (steps: readonly number[]) => Promise<number>;
  child: Child;
}

export interface StepRow {
  model: ModelName;
  group: string;
  timings: Record<string, Timing & { ratio: number }>;
  /** Bytes at most on the device. */
  peakBytes: Record<string, number>;
  /**
   * Largest difference between the losses of our sides with
   * and without graphs: they must be the same bits.
   */
  graphsDifference: number | undefined;
}

export interface StepResult {
  peers: Record<string, unknown>;
  rows: StepRow[];
  missing: Record<string, string>;
  sections: Section[];
  figures: Record<string, Figure>;
}

/** The worker beside this file: compiled or not. */
function startOurs(name: string): Child {
  const extension = path.extname(__filename);
  const worker = path.join(__dirname, '..', 'workers', `fused_lora_gpu${extension}`);
  const loader = extension === '.ts' ? ['--require', require.resolve('tsx/cjs')] : [];
  return new Child(name, process.execPath, [...loader, worker]);
}

/** In bf16 where nothing else is said, as the peers. */
const OURS = {
  'fused-lora': {},
  'fused-lora, fp32': { precision: 'fp32' },
  'fused-lora, graphs off': { graphs: false },
  'fused-lora, separate ops': { fused: false },
  'fused-lora, full fine-tuning': { method: 'full' },
} as const;

/** PyTorch's sides; `compile` is a mode of torch.compile. */
const PEERS = {
  'HF Trainer + PEFT': { how: 'trainer' },
  'PyTorch loop + PEFT': { how: 'train' },
  'HF Trainer + PEFT, torch.compile': { how: 'trainer', compile: 'default' },
  'PyTorch loop + PEFT, torch.compile': { how: 'train', compile: 'max-autotune-no-cudagraphs' },
  'PyTorch loop + PEFT, torch.compile + graphs': { how: 'train', compile: 'reduce-overhead' },
} as const;

async function openOurs(model: ModelName, all: readonly TokenBatch[], missing: Record<string, string>) {
  const sides: Record<string, Opened> = {};
  for (const [name, options] of Object.entries(OURS)) {
    const child = startOurs(name);
    try {
      const method = { method: 'lora', ...options };
      await child.call('load', { folder: modelFolder(model), adapter: adapterFolder(model, LORA), ...method });
      await child.call('batches', { batches: all });
      sides[name] = {
        child,
        turn: async (steps) =>
          (await child.call<{ seconds: number }>('train', { steps, learningRate: LEARNING_RATE })).seconds,
      };
    } catch (error) {
      missing[name] = lastLine(error);
      child.close();
    }
  }
  return sides;
}

async function openPeers(
  model: ModelName,
  all: readonly TokenBatch[],
  missing: Record<string, string>,
  peers: Record<string, unknown>,
  compile: boolean,
) {
  const sides: Record<string, Opened> = {};
  for (const [name, side] of Object.entries(PEERS)) {
    const mode = 'compile' in side ? side.compile : undefined;
    if (mode !== undefined && !compile) continue;
    const child = startPython('torch_gpu_step.py', name);
    if (isMissing(child)) {
      missing['PyTorch'] = child.missing;
      break;
    }
    try {
      peers[name] = await child.call('info');
      await child.call('load', {
        folder: modelFolder(model),
        adapter: adapterFolder(model, LORA),
        method: 'lora',
        precision: 'bf16',
        compile: mode,
        how: side.how,
      });
      await child.call('batches', { batches: all });
      sides[name] = {
        child,
        turn: async (steps) => {
          if (side.how === 'train') return (await child.call<{ seconds: number }>('train', { steps })).seconds;
          // Batches of the same sentences, in the Trainer's own order.
          const { seconds } = await child.call<{ seconds: number }>('trainer', { steps: steps.length, warmup: 3 });
          return seconds;
        },
      };
      // Compiles what is compiled, and shows what fails, before anything is timed.
      await sides[name].turn([0, 1]);
    } catch (error) {
      missing[name] = lastLine(error);
      delete sides[name];
      child.close();
    }
  }
  return sides;
}

/** The line that tells: Python's last one, Node's before the stack. */
const lastLine = (error: unknown) =>
  (error as Error).message
    .trim()
    .split('\n')
    .filter((line) => line.trim() !== '' && !/^\s+at |^Node\.js v/.test(line))
    .at(-1) ?? 'unknown';

async function measureModel(
  model: ModelName,
  options: { batches: number; rounds: number; compile: boolean; emulated: boolean },
  missing: Record<string, string>,
  peers: Record<string, unknown>,
): Promise<StepRow[]> {
  const size = options.emulated ? 2 : BATCH_SIZE;
  const groups = {
    'random batches': randomBatches(model, options.batches, size),
    'sorted by length': sortedBatches(model, options.batches, size),
  };
  const all = Object.values(groups).flat();
  const ours = await openOurs(model, all, missing);
  const sides = { ...ours, ...(await openPeers(model, all, missing, peers, options.compile)) };
  const graphsDifference = await compareGraphs(ours);
  const rows: StepRow[] = [];
  let first = 0;
  for (const [group, batches] of Object.entries(groups)) {
    const steps = batches.map((_, i) => first + i);
    first += batches.length;
    const turns = Object.fromEntries(Object.entries(sides).map(([name, { turn }]) => [name, () => turn(steps)]));
    if (Object.keys(turns).length === 0) continue;
    const timings = await interleave(turns, { rounds: options.rounds, warmup: 2 });
    const peakBytes: Record<string, number> = {};
    for (const [name, { child }] of Object.entries(sides)) {
      const memory = await child.call<{ peakBytes: number | null }>('memory');
      if (memory.peakBytes) peakBytes[name] = memory.peakBytes;
    }
    for (const timing of Object.values(timings))
      for (const key of ['median', 'p10', 'p90'] as const) timing[key] /= batches.length;
    rows.push({
      model,
      group: `${group} (${tokensOf(batches) / batches.length} tokens a batch)`,
      timings,
      peakBytes,
      graphsDifference,
    });
  }
  for (const { child } of Object.values(sides)) child.close();
  return rows;
}

/** Three steps on the sides with and without graphs: the same bits, or the times mean nothing. */
async function compareGraphs(ours: Record<string, Opened>): Promise<number | undefined> {
  const [graphs, plain] = [ours['fused-lora'], ours['fused-lora, graphs off']];
  if (!graphs || !plain) return undefined;
  const losses = async ({ child }: Opened) =>
    (await child.call<{ losses: number[] }>('train', { steps: [0, 1, 0], learningRate: 1e-4 })).losses;
  const [a, b] = [await losses(graphs), await losses(plain)];
  const difference = Math.max(...a.map((loss, i) => Math.abs(loss - (b[i] as number))));
  if (difference !== 0) throw new Error(`losses with and without CUDA graphs differ by ${difference}`);
  return difference;
}

function section(rows: readonly StepRow[]): Section {
  return {
    title: `training step, LoRA r = 8 on query and value, SST-2's lengths, batches of ${BATCH_SIZE}`,
    note: "bf16 unless a side says fp32; ratio: time over fused-lora's, median of rounds; ms a step [p10 p90] on the host's clock, from batch to loss; MiB: most on the device",
    header: ['side', 'ratio', 'ms', 'sentences/s', 'MiB'],
    rows: rows.flatMap(({ model, group, timings, peakBytes }) =>
      Object.entries(timings).map(([side, { ratio, median, p10, p90 }]) => [
        `${model}, ${group}: ${side}`,
        ratio.toFixed(2),
        `${milliseconds(median)} [${milliseconds(p10)} ${milliseconds(p90)}]`,
        (BATCH_SIZE / median).toFixed(0),
        peakBytes[side] === undefined ? '' : (peakBytes[side] / 2 ** 20).toFixed(0),
      ]),
    ),
  };
}

/** By name; with a reason where it was not measured. */
export function stepFigures(rows: readonly StepRow[], missing: Record<string, string>): Record<string, Figure> {
  const row = rows.find(({ model, group }) => model !== 'roberta-large' && group.startsWith('random'));
  const over = (side: string): Figure =>
    row?.timings['fused-lora'] && row.timings[side]
      ? row.timings[side].median / row.timings['fused-lora'].median
      : { missing: missing[side] ?? missing['fused-lora'] ?? missing['PyTorch'] ?? 'not run' };
  const compiled = Object.keys(PEERS)
    .filter((name) => name.includes('torch.compile'))
    .map((name) => row?.timings[name]?.median)
    .filter((median): median is number => median !== undefined);
  const ours = row?.timings['fused-lora']?.median;
  const memory = [row?.peakBytes['fused-lora'], row?.peakBytes['HF Trainer + PEFT']] as const;
  return {
    'gpu.step.milliseconds': ours === undefined ? { missing: missing['fused-lora'] ?? 'not run' } : ours * 1000,
    'gpu.step.trainerOverFused': over('HF Trainer + PEFT'),
    'gpu.step.compiledBestOverFused':
      ours !== undefined && compiled.length > 0
        ? Math.min(...compiled) / ours
        : over('PyTorch loop + PEFT, torch.compile'),
    'gpu.step.fullOverLora': over('fused-lora, full fine-tuning'),
    'gpu.step.graphsOffOverGraphs': over('fused-lora, graphs off'),
    'gpu.step.separateOverFused': over('fused-lora, separate ops'),
    'gpu.step.fp32OverBf16': over('fused-lora, fp32'),
    'gpu.step.memoryOfPeft':
      memory[0] !== undefined && memory[1] !== undefined
        ? memory[0] / memory[1]
        : { missing: 'not measured on both sides' },
  };
}

export async function benchSteps(options: { quick: boolean; emulated: boolean }): Promise<StepResult> {
  const missing: Record<string, string> = {};
  const peers: Record<string, unknown> = {};
  const rows: StepRow[] = [];
  const models: ModelName[] = options.emulated
    ? ['minilm']
    : options.quick
      ? ['roberta-base']
      : ['roberta-base', 'roberta-large'];
  for (const model of models) {
    const settings = options.emulated
      ? { batches: 2, rounds: 1, compile: false, emulated: true }
      : { batches: options.quick ? 4 : 16, rounds: options.quick ? 3 : 9, compile: !options.quick, emulated: false };
    rows.push(...(await measureModel(model, settings, missing, peers)));
  }
  return { peers, rows, missing, sections: [section(rows)], figures: stepFigures(rows, missing) };
}
