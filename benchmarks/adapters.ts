/**
 * What do several adapters on one base cost? A batch of 8 adapters against one of a single adapter,
 * against running the same requests grouped by adapter, an adapter against the same one merged, how
 * long it takes to change one, what a hundred take in memory over their files, and 8 adapters of
 * the upper third for each text in one pass against a pass for each. Those sides run in this
 * process, in turns, the hundred in workers/resident_adapters.ts. The peer is PEFT with
 * adapter_names on its padded batch, with adapters that have no head: such batches take none of
 * RoBERTa's. The batches' lengths are SST-2's (lib/batches.ts); the mixed pass is
 * src/task/mixed_evaluator.ts.
 */
import { spawnSync } from 'node:child_process';
import * as path from 'node:path';
import { addAdapter, loadModel, merge, saveAdapter, setActiveAdapters, type TaskModel } from '../src';
import type { EncodedExample } from '../src/data/tokenize/encoded_example';
import { MixedEvaluator } from '../src/task/mixed_evaluator';
import { ModelEvaluator } from '../src/task/model_evaluator';
import { SharedEvaluator } from '../src/task/shared_evaluator';
import { sentences, sst2Lengths } from './lib/batches';
import type { Child } from './lib/child';
import { cacheFolder } from './lib/folders';
import { main } from './lib/main';
import { type Interleaved, interleave, summarize } from './lib/measure';
import { ALL_LINEARS, type ModelName, modelFolder } from './lib/models';
import { ourPrecisions, type Precision } from './lib/precision';
import { milliseconds } from './lib/report';
import {
  type Benchmark,
  type BenchmarkOptions,
  type Figure,
  isMissing,
  type Missing,
  type Section,
} from './lib/result';
import { compareLogits, openTorch, predictBatches, tunePeer } from './lib/sides';

const ADAPTERS = 8;
const BATCH = 32;
const BATCHES = 4;
/** As many requests as wait together where few come: each of another adapter. */
const FEW = 8;
/** Adapters that are resident at once, where their memory is measured. */
const MANY = 100;
const names = Array.from({ length: ADAPTERS }, (_, i) => `adapter${i}`);

const secondsOf = async (body: () => Promise<unknown>) => {
  const start = performance.now();
  await body();
  return (performance.now() - start) / 1000;
};

/**
 * A model with 8 adapters on all linears, r = 8, whose B is not zero.
 *
 * @param options.upper the share of the layers, from the top, that have them.
 * @param options.heads whether each has a head of its own.
 */
function openModel(name: ModelName, { upper = 1, heads = true } = {}): TaskModel {
  const { model } = loadModel(modelFolder(name));
  const { numHiddenLayers: count } = model.config;
  const own = Array.from({ length: count }, (_, i) => i).slice(Math.round(count * (1 - upper)));
  const config = {
    ...ALL_LINEARS,
    ...(upper < 1 && { layersToTransform: own }),
    ...(!heads && { modulesToSave: [] }),
  };
  for (const [seed, adapter] of names.entries()) addAdapter(model, config, { name: adapter, seed });
  for (const [path, parameter] of model.namedParameters()) {
    // In memory, and not made anew whenever they are read.
    if (path.includes('.lora_A.')) parameter.setData(parameter.data());
    if (!path.includes('.lora_B.')) continue;
    parameter.setData(Float32Array.from({ length: parameter.count }, (_, i) => 0.01 * Math.sin(i + path.length)));
  }
  return model;
}

/** Requests in the order in which they come: lengths and adapters at random. */
function requestsOf(model: ModelName, count: number): { examples: EncodedExample[]; adapters: string[] } {
  const all = sentences(model, sst2Lengths(count, 5), 5);
  return {
    examples: all.map(({ ids }) => ({ inputIds: Int32Array.from(ids), tokenTypeIds: new Int32Array(ids.length) })),
    adapters: all.map((_, i) => names[(i * 7 + Math.floor(i / ADAPTERS)) % ADAPTERS] as string),
  };
}

interface Measured {
  model: ModelName;
  precision: Precision;
  sentences: number;
  times: Interleaved<'one adapter' | 'mixed' | 'grouped by adapter' | 'merged'>;
  /** The same requests, few at a time. */
  few: Interleaved<'mixed, few' | 'grouped, few'>;
  /** Against PEFT's adapter_names. */
  peft: Interleaved<'mixed, without heads' | 'PEFT adapter_names'> | Missing;
  /** 8 tasks for each text, adapters in the upper third. */
  tasks: Interleaved<'a pass for each task' | 'one pass for all'>;
  /** Seconds to put an adapter into a slot in the place of another. */
  swap: { median: number; p10: number; p90: number };
  resident: Resident;
}

/** Of workers/resident_adapters.ts; bytes, and seconds of a batch of one text. */
interface Resident {
  bytes: number;
  fileBytes: number;
  seconds: number;
  /** More than `seconds` where the text has another adapter than the batch before. */
  change: number;
}

function measureResident(name: ModelName): Resident {
  const worker = path.join(__dirname, 'workers', 'resident_adapters.ts');
  const args = [String(MANY), modelFolder(name), path.join(cacheFolder, 'adapters', `${name}-resident`)];
  const node = ['--expose-gc', '--require', 'tsx/cjs', worker, ...args];
  const { stdout, stderr, status } = spawnSync(process.execPath, node, { encoding: 'utf8' });
  if (status !== 0) throw new Error(`resident_adapters.ts: ${stderr.slice(-2000)}`);
  return JSON.parse(stdout.trim().split('\n').at(-1) as string) as Resident;
}

async function measureModel(name: ModelName, precision: Precision, rounds: number): Promise<Measured> {
  const model = openModel(name);
  const { examples, adapters } = requestsOf(name, BATCHES * BATCH);
  const options = { precision, loss: false } as const;
  const first = names[0] as string;
  using mixed = new MixedEvaluator(model, names, { precision });
  setActiveAdapters(model, first);
  using one = new ModelEvaluator(model, options);
  const alone = new Map(
    names.map((adapter) => {
      setActiveAdapters(model, adapter);
      return [adapter, new ModelEvaluator(model, options)] as const;
    }),
  );
  // A base of its own, so that the other sides keep theirs.
  const mergedModel = openModel(name);
  merge(mergedModel, [first]);
  using merged = new ModelEvaluator(mergedModel, options);

  const everyBatch = async (run: (begin: number, end: number) => Promise<unknown>, size = BATCH) =>
    await secondsOf(async () => {
      for (let begin = 0; begin < examples.length; begin += size) await run(begin, begin + size);
    });
  const plain = (evaluator: ModelEvaluator) => () =>
    everyBatch((begin, end) => evaluator.run(examples.slice(begin, end), { batchSize: BATCH }));
  const most = BATCH * Math.max(...examples.map(({ inputIds }) => inputIds.length));
  const mixedIn = (size: number) => () =>
    everyBatch((begin, end) => mixed.run(examples.slice(begin, end), adapters.slice(begin, end), most), size);
  // Programs that are ready for each adapter: what a swap costs is not part of it.
  const groupedIn = (size: number) => () =>
    everyBatch(async (begin, end) => {
      for (const [adapter, evaluator] of alone) {
        const own = examples.slice(begin, end).filter((_, i) => adapters[begin + i] === adapter);
        if (own.length > 0) await evaluator.run(own, { batchSize: BATCH });
      }
    }, size);
  const times = await interleave(
    {
      'one adapter': plain(one),
      mixed: mixedIn(BATCH),
      'grouped by adapter': groupedIn(BATCH),
      merged: plain(merged),
    },
    { rounds },
  );
  const few = await interleave({ 'mixed, few': mixedIn(FEW), 'grouped, few': groupedIn(FEW) }, { rounds });
  for (const evaluator of alone.values()) evaluator.dispose();

  const swaps: number[] = [];
  for (let i = 0; i < 8 * rounds; i++) {
    const start = performance.now();
    mixed.table.put(i % ADAPTERS, names[(i + 1) % ADAPTERS]);
    swaps.push((performance.now() - start) / 1000);
  }
  const tasks = await measureTasks(name, precision, rounds, examples);
  const peft = await measurePeft(name, precision, rounds);
  const resident = measureResident(name);
  const facts = { model: name, precision, sentences: examples.length };
  return { ...facts, peft, times, few, tasks, swap: summarize(swaps), resident };
}

/** Folders of the adapters, for PEFT. */
function adapterFolders(name: ModelName, model: TaskModel): Record<string, string> {
  const folder = path.join(cacheFolder, 'adapters', `${name}-mixed`);
  return Object.fromEntries(
    names.map((adapter) => [adapter, saveAdapter(model, folder, { name: adapter, baseModel: name })]),
  );
}

/** The same mixed batches, ragged here and padded there; both must give the same logits. */
async function measurePeft(name: ModelName, precision: Precision, rounds: number): Promise<Measured['peft']> {
  const model = openModel(name, { heads: false });
  const folders = adapterFolders(name, model);
  const all = sentences(name, sst2Lengths(BATCHES * BATCH, 5), 5);
  const { examples, adapters } = requestsOf(name, BATCHES * BATCH);
  const chunksOf = <T>(items: readonly T[]) =>
    Array.from({ length: BATCHES }, (_, i) => items.slice(i * BATCH, (i + 1) * BATCH));
  const peer = await openTorch(
    { folder: modelFolder(name), method: 'predict', adapters: folders, precision },
    chunksOf(all),
  );
  if (isMissing(peer)) return peer;
  const steps = Array.from({ length: BATCHES }, (_, i) => i);
  const adapterNames = chunksOf(adapters);
  using mixed = new MixedEvaluator(model, names, { precision });
  const most = BATCH * Math.max(...examples.map(({ inputIds }) => inputIds.length));
  const ours = async () => {
    const logits: number[][] = [];
    const seconds = await secondsOf(async () => {
      for (const [i, chunk] of chunksOf(examples).entries()) {
        logits.push((await mixed.run(chunk, adapterNames[i]!, most)).flatMap((one) => [...one]));
      }
    });
    return { seconds, logits };
  };
  const theirs = () => predictBatches(peer, steps, adapterNames);
  await tunePeer(peer, theirs, rounds < 5);
  if (precision === 'fp32')
    compareLogits([{ ...peer, child: { name: 'fused-lora' } as Child }, peer], [await ours(), await theirs()]);
  const times = await interleave(
    {
      'mixed, without heads': async () => (await ours()).seconds,
      'PEFT adapter_names': async () => (await theirs()).seconds,
    },
    { rounds, pause: 200 },
  );
  peer.child.close();
  model.dispose();
  return times;
}

/** Each text by all adapters, which sit in the upper third of the layers. */
async function measureTasks(
  name: ModelName,
  precision: Precision,
  rounds: number,
  examples: readonly EncodedExample[],
): Promise<Measured['tasks']> {
  const model = openModel(name, { upper: 1 / 3 });
  using shared = new SharedEvaluator(model, names, { precision });
  const alone = names.map((adapter) => {
    setActiveAdapters(model, adapter);
    return new ModelEvaluator(model, { precision, loss: false });
  });
  const sizes = { batchSize: BATCH };
  const times = await interleave(
    {
      'a pass for each task': () =>
        secondsOf(async () => {
          for (const evaluator of alone) await evaluator.run(examples, sizes);
        }),
      'one pass for all': () => secondsOf(() => shared.run(examples, sizes)),
    },
    { rounds },
  );
  for (const evaluator of alone) evaluator.dispose();
  model.dispose();
  return times;
}

function tableOf({ model, precision, sentences: count, times, few, tasks, peft, swap, resident }: Measured): Section {
  const rows = Object.entries({ ...times, ...few, ...tasks, ...(isMissing(peft) ? {} : peft) }).map(
    ([side, { ratio, median, p10, p90 }]) => [
      side,
      ratio.toFixed(3),
      (count / median).toFixed(1),
      `${milliseconds(median)} [${milliseconds(p10)} ${milliseconds(p90)}]`,
    ],
  );
  const change = `${milliseconds(swap.median)} [${milliseconds(swap.p10)} ${milliseconds(swap.p90)}]`;
  return {
    title: `${ADAPTERS} adapters on ${model}, ${precision}, r = 8 on all linears, batches of ${BATCH}`,
    note:
      "SST-2's lengths and the adapters in random order; ratio: time over that of one adapter for all, median of rounds. " +
      'Sides with a pass answer each text by all 8 adapters, which sit in the upper third of the layers; they, those in batches of 8 (few) and those of the mixed batch in PEFT have ratios to the first of the two',
    header: ['side', 'ratio', 'sentences/s', 'ms a turn [p10 p90]'],
    rows: [
      ...rows,
      ['another adapter into a slot', '', '', change],
      [`one text by another of ${MANY} that are resident, longer by`, '', '', milliseconds(resident.change)],
      [`memory of ${MANY} over their files`, (resident.bytes / resident.fileBytes).toFixed(3), '', ''],
    ],
  };
}

function figuresOf({ times, few, tasks, peft, swap, resident }: Measured): Record<string, Figure> {
  const over = (side: keyof Measured['times'], other: keyof Measured['times']) =>
    times[other].median / times[side].median;
  return {
    'adapters.mixedOverOne': over('mixed', 'one adapter'),
    'adapters.mixedOverGrouped': over('mixed', 'grouped by adapter'),
    'adapters.mixedOverGroupedFew': few['grouped, few'].ratio,
    'adapters.unmergedOverMerged': over('one adapter', 'merged'),
    'adapters.sharedOverEach': 1 / tasks['one pass for all'].ratio,
    'adapters.mixedOverPeft': isMissing(peft) ? peft : peft['PEFT adapter_names'].ratio,
    'adapters.swapMilliseconds': swap.median * 1000,
    'adapters.residentSwapMilliseconds': resident.change * 1000,
    'adapters.memoryOverFiles': resident.bytes / resident.fileBytes,
  };
}

function settingsOf({ quick, model }: BenchmarkOptions): { model: ModelName; rounds: number } {
  return { model: model ?? (quick ? 'minilm' : 'roberta-base'), rounds: quick ? 3 : 9 };
}

export const benchmark: Benchmark = {
  name: 'adapters',
  question: 'What do several adapters on one base cost: mixed in a batch, grouped, merged, changed, against PEFT?',
  alone: true,
  async run(options) {
    const { model, rounds } = settingsOf(options);
    const measured: Measured[] = [];
    for (const precision of await ourPrecisions()) measured.push(await measureModel(model, precision, rounds));
    return {
      peers: {},
      figures: figuresOf(measured[0] as Measured),
      sections: measured.map(tableOf),
      rows: measured,
    };
  },
};

if (require.main === module) main(benchmark);
