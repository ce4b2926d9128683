/**
 * What does it take until the first step, and what while training? Import of the package, loading a
 * model, the first step, peak memory, and how late the event loop is.
 * Our side is the process workers/fused_lora.ts; the speed of steps: step.ts.
 */
import { execFileSync } from 'node:child_process';
import * as fs from 'node:fs';
import * as path from 'node:path';
import { randomBatches, type TokenBatch } from './lib/batches';
import { repository } from './lib/folders';
import { main } from './lib/main';
import { type Interleaved, interleave, summarize, type Timing } from './lib/measure';
import { ARTICLE_LORA, adapterFolder, type ModelName, modelFolder } from './lib/models';
import { ourBf16Missing, ourPrecisions, type Precision, peerPrecisions } from './lib/precision';
import type { LoadArguments, TrainResult } from './lib/protocol';
import { milliseconds } from './lib/report';
import {
  type Benchmark,
  type BenchmarkOptions,
  type Figure,
  isMissing,
  type Missing,
  type Section,
} from './lib/result';
import { loadSide, startOurs, startPython, trainSteps } from './lib/sides';
import { peersPython } from './lib/torch_blas';

const SENTENCES = 32;

interface Settings {
  model: ModelName;
  importRounds: number;
  /** Fresh processes a side. */
  starts: number;
  /** Batches of SST-2's lengths that each of them trains on: the same for all. */
  batches: number;
  /** Steps while the event loop is watched. */
  watched: number;
}

function settingsOf({ quick, targets, model = 'roberta-base' }: BenchmarkOptions): Settings {
  if (quick) return { model, importRounds: targets ? 0 : 3, starts: 1, batches: targets ? 1 : 3, watched: 5 };
  return { model, importRounds: targets ? 0 : 15, starts: targets ? 3 : 5, batches: 6, watched: 30 };
}

/** Seconds of a whole process. */
function processSeconds(command: string, args: string[]): number {
  const started = performance.now();
  execFileSync(command, args, { stdio: 'ignore' });
  return (performance.now() - started) / 1000;
}

/** Importing the built package, less what starting Node takes, and the same of the peer. */
async function measureImports(rounds: number): Promise<Interleaved<string> | Missing> {
  const entry = (file: string) => path.join(repository, 'dist', file);
  if (!fs.existsSync(entry('index.js'))) return { missing: 'there is no dist/ (npm run build:ts)' };
  const python = peersPython();
  const node =
    (code: string, ...options: string[]) =>
    async () =>
      processSeconds(process.execPath, [...options, '--eval', code]);
  const turns: Record<string, () => Promise<number>> = {
    'Node alone': node(''),
    "require('fused-lora')": node(`require(${JSON.stringify(entry('index.js'))}).loadModel`),
    "import 'fused-lora'": node(`await import(${JSON.stringify(entry('index.mjs'))})`, '--input-type=module'),
  };
  if (!isMissing(python)) {
    turns['Python alone'] = async () => processSeconds(python, ['-c', '']);
    turns['import torch, transformers, peft'] = async () =>
      processSeconds(python, [
        '-c',
        'import torch, peft; from transformers import AutoModelForSequenceClassification, Trainer',
      ]);
  }
  return interleave(turns, { rounds });
}

interface Start {
  /** Seconds from starting the process to the end of the first step. */
  untilFirstStep: number;
  load: number;
  firstStep: number;
  /** Mean of the steps after the first. */
  laterStep: number;
  /** MiB */
  peakMemory: number | undefined;
}

type Name = `${'fused-lora' | 'PyTorch'} ${Precision}`;

async function start(name: Name, model: LoadArguments, batches: readonly TokenBatch[]): Promise<Start | Missing> {
  const started = performance.now();
  const child = name.startsWith('PyTorch') ? startPython('torch_peer.py', name) : startOurs();
  if (isMissing(child)) return child;
  const side = await loadSide(child, model, batches);
  const first = await trainSteps(side, [0]);
  const untilFirstStep = (performance.now() - started) / 1000;
  // One batch is all there is where it has to be quick.
  const later = batches.length > 1 ? await trainSteps(side, [...batches.keys()]) : first;
  const peakMemory = child.peakMemory();
  child.close();
  return {
    untilFirstStep,
    load: side.loaded.seconds,
    firstStep: first.seconds,
    laterStep: later.seconds / batches.length,
    peakMemory,
  };
}

interface Measured {
  imports: Interleaved<string> | Missing | undefined;
  starts: Map<Name, Start[]>;
  eventLoop: { precision: Precision; delay: NonNullable<TrainResult['eventLoopDelay']> }[];
  peer: Missing | undefined;
}

async function measure({ model, importRounds, starts, batches: count, watched }: Settings): Promise<Measured> {
  const base: LoadArguments = {
    folder: modelFolder(model),
    adapter: adapterFolder(model, ARTICLE_LORA),
    method: 'lora',
  };
  const batches = randomBatches(model, count, SENTENCES);
  const imports = importRounds > 0 ? await measureImports(importRounds) : undefined;
  const names: Name[] = [
    ...(await ourPrecisions()).map((precision): Name => `fused-lora ${precision}`),
    ...peerPrecisions().map((precision): Name => `PyTorch ${precision}`),
  ];
  const results = new Map<Name, Start[]>();
  let peer: Missing | undefined;
  for (let round = 0; round < starts; round++) {
    for (const name of names) {
      const precision = name.endsWith('bf16') ? 'bf16' : 'fp32';
      const result = await start(name, { ...base, precision }, batches);
      if (isMissing(result)) peer = result;
      else results.set(name, [...(results.get(name) ?? []), result]);
    }
  }
  const eventLoop: Measured['eventLoop'] = [];
  for (const precision of await ourPrecisions()) {
    const side = await loadSide(startOurs(), { ...base, precision }, batches);
    await trainSteps(side, [0]);
    const steps = Array.from({ length: watched }, (_, i) => i % batches.length);
    const { eventLoopDelay } = await trainSteps(side, steps, { eventLoop: true });
    if (eventLoopDelay) eventLoop.push({ precision, delay: eventLoopDelay });
    side.child.close();
  }
  return { imports, starts: results, eventLoop, peer };
}

const spread = ({ median, p10, p90 }: Timing, format: (x: number) => string) =>
  `${format(median)} [${format(p10)} ${format(p90)}]`;

function importTable(imports: Interleaved<string>): Section {
  return {
    title: 'import of the package',
    note: 'whole processes; ratio: to starting Node with nothing to do',
    header: ['process', 'ratio', 'ms [p10 p90]'],
    rows: Object.entries(imports).map(([name, timing]) => [
      name,
      timing.ratio.toFixed(2),
      spread(timing, milliseconds),
    ]),
    plot: {
      kind: 'bars',
      unit: 'ms',
      series: [{ name: 'ms', points: Object.entries(imports).map(([x, { median }]) => ({ x, y: median * 1e3 })) }],
    },
  };
}

const medianOf = (starts: readonly Start[], field: keyof Start) =>
  summarize(starts.map((start) => start[field] ?? Number.NaN)).median;

function startTable(starts: Measured['starts'], model: ModelName): Section {
  const entries = [...starts];
  const ours = entries[0]?.[1] ?? [];
  const seconds = (all: readonly Start[], field: keyof Start) =>
    spread(summarize(all.map((start) => start[field] as number)), (x) => x.toFixed(3));
  const memory = (all: readonly Start[]) => medianOf(all, 'peakMemory');
  return {
    title: `from nothing to training: ${model}, LoRA r = 4, SST-2's lengths in batches of ${SENTENCES}`,
    note:
      'fresh processes in turns; ratios: to fused-lora fp32; seconds [p10 p90]; peak memory: resident, with pages of mapped files (VmHWM), after ' +
      'the same batches on all sides',
    header: [
      'side',
      'time ratio',
      'memory ratio',
      'until first step',
      'of it: load',
      'first step',
      'later steps',
      'peak MiB',
    ],
    rows: entries.map(([name, all]) => [
      name,
      (medianOf(all, 'untilFirstStep') / medianOf(ours, 'untilFirstStep')).toFixed(2),
      (memory(all) / memory(ours)).toFixed(2),
      seconds(all, 'untilFirstStep'),
      seconds(all, 'load'),
      seconds(all, 'firstStep'),
      seconds(all, 'laterStep'),
      memory(all).toFixed(0),
    ]),
    plot: {
      kind: 'bars',
      unit: 'peak MiB',
      series: [{ name: 'peak MiB', points: entries.map(([x, all]) => ({ x, y: memory(all) })) }],
    },
  };
}

function eventLoopTable(eventLoop: Measured['eventLoop']): Section {
  return {
    title: 'event loop while training',
    note: 'ms that a timer of 1 ms comes late in the process that trains',
    header: ['precision', 'p50', 'p99', 'max'],
    rows: eventLoop.map(({ precision, delay }) => [
      precision,
      ...[delay.p50, delay.p99, delay.max].map((ms) => ms.toFixed(2)),
    ]),
  };
}

function figuresOf({ starts, eventLoop, peer }: Measured, noBf16: string | undefined): Record<string, Figure> {
  const memoryOver = (precision: Precision): Figure => {
    const [ours, theirs] = [starts.get(`fused-lora ${precision}`), starts.get(`PyTorch ${precision}`)];
    if (!ours) return { missing: noBf16 ?? 'not measured' };
    if (!theirs) return peer ?? { missing: 'not measured' };
    const ratio = medianOf(ours, 'peakMemory') / medianOf(theirs, 'peakMemory');
    return Number.isFinite(ratio) ? ratio : { missing: 'this system does not tell the memory of a process (/proc)' };
  };
  const ours = starts.get('fused-lora fp32') ?? [];
  return {
    'load.peakMemoryOverPeerFp32': memoryOver('fp32'),
    'load.peakMemoryOverPeerBf16': memoryOver('bf16'),
    // The worse of the precisions.
    'load.eventLoopDelayP99': Math.max(...eventLoop.map(({ delay }) => delay.p99)),
    'load.modelLoadSeconds': medianOf(ours, 'load'),
    'load.untilFirstStepSeconds': medianOf(ours, 'untilFirstStep'),
  };
}

export const benchmark: Benchmark = {
  name: 'load',
  question: 'How long until the first step, in how much memory, and how late is the event loop while training?',
  async run(options) {
    const settings = settingsOf(options);
    const measured = await measure(settings);
    const { imports, starts, eventLoop, peer } = measured;
    return {
      peers: { PyTorch: peer ?? {} },
      figures: figuresOf(measured, await ourBf16Missing()),
      sections: [
        startTable(starts, settings.model),
        ...(imports && !isMissing(imports) ? [importTable(imports)] : []),
        eventLoopTable(eventLoop),
      ],
      rows: [Object.fromEntries(starts), { imports, eventLoop }],
    };
  },
};

if (require.main === module) main(benchmark);
