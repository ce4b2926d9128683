/**
 * What do several adapters on one base cost? A batch of 8 adapters against one of a single adapter,
 * against running the same requests grouped by adapter, an adapter against the same one merged, how
 * long it takes to change one, and 8 adapters of the upper third for each text in one pass against
 * a pass for each. All sides run in this process, in turns; no peer takes part.
 * The batches' lengths are SST-2's (lib/batches.ts); the mixed pass is src/task/mixed_evaluator.ts.
 */
import { addAdapter, loadModel, merge, setActiveAdapters, type TaskModel } from '../src';
import type { EncodedExample } from '../src/data/tokenize/encoded_example';
import { MixedEvaluator } from '../src/task/mixed_evaluator';
import { ModelEvaluator } from '../src/task/model_evaluator';
import { SharedEvaluator } from '../src/task/shared_evaluator';
import { sentences, sst2Lengths } from './lib/batches';
import { main } from './lib/main';
import { type Interleaved, interleave, summarize } from './lib/measure';
import { ALL_LINEARS, type ModelName, modelFolder } from './lib/models';
import { ourPrecisions, type Precision } from './lib/precision';
import { milliseconds } from './lib/report';
import type { Benchmark, BenchmarkOptions, Figure, Section } from './lib/result';

const ADAPTERS = 8;
const BATCH = 32;
const BATCHES = 4;
const names = Array.from({ length: ADAPTERS }, (_, i) => `adapter${i}`);

const secondsOf = async (body: () => Promise<unknown>) => {
  const start = performance.now();
  await body();
  return (performance.now() - start) / 1000;
};

/**
 * A model with 8 adapters on all linears, r = 8, whose B is not zero.
 *
 * @param upper the share of the layers, from the top, that have them.
 */
function openModel(name: ModelName, upper = 1): TaskModel {
  const { model } = loadModel(modelFolder(name));
  const { numHiddenLayers: count } = model.config;
  const own = Array.from({ length: count }, (_, i) => i).slice(Math.round(count * (1 - upper)));
  const config = { ...ALL_LINEARS, ...(upper < 1 && { layersToTransform: own }) };
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
  /** 8 tasks for each text, adapters in the upper third. */
  tasks: Interleaved<'a pass for each task' | 'one pass for all'>;
  /** Seconds to put an adapter into a slot in the place of another. */
  swap: { median: number; p10: number; p90: number };
}

async function measureModel(name: ModelName, precision: Precision, rounds: number): Promise<Measured> {
  const model = openModel(name);
  const { examples, adapters } = requestsOf(name, BATCHES * BATCH);
  const chunks = Array.from({ length: BATCHES }, (_, i) => [i * BATCH, (i + 1) * BATCH] as const);
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

  const everyBatch = async (run: (begin: number, end: number) => Promise<unknown>) =>
    await secondsOf(async () => {
      for (const [begin, end] of chunks) await run(begin, end);
    });
  const plain = (evaluator: ModelEvaluator) => () =>
    everyBatch((begin, end) => evaluator.run(examples.slice(begin, end), { batchSize: BATCH }));
  const most = BATCH * Math.max(...examples.map(({ inputIds }) => inputIds.length));
  // Programs that are ready for each adapter: what a swap costs is not part of it.
  const grouped = () =>
    everyBatch(async (begin, end) => {
      for (const [adapter, evaluator] of alone) {
        const own = examples.slice(begin, end).filter((_, i) => adapters[begin + i] === adapter);
        if (own.length > 0) await evaluator.run(own, { batchSize: BATCH });
      }
    });
  const times = await interleave(
    {
      'one adapter': plain(one),
      mixed: () => everyBatch((begin, end) => mixed.run(examples.slice(begin, end), adapters.slice(begin, end), most)),
      'grouped by adapter': grouped,
      merged: plain(merged),
    },
    { rounds },
  );
  for (const evaluator of alone.values()) evaluator.dispose();

  const swaps: number[] = [];
  for (let i = 0; i < 8 * rounds; i++) {
    const start = performance.now();
    mixed.table.put(i % ADAPTERS, names[(i + 1) % ADAPTERS]);
    swaps.push((performance.now() - start) / 1000);
  }
  const tasks = await measureTasks(name, precision, rounds, examples);
  return { model: name, precision, sentences: examples.length, times, tasks, swap: summarize(swaps) };
}

/** Each text by all adapters, which sit in the upper third of the layers. */
async function measureTasks(
  name: ModelName,
  precision: Precision,
  rounds: number,
  examples: readonly EncodedExample[],
): Promise<Measured['tasks']> {
  const model = openModel(name, 1 / 3);
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

function tableOf({ model, precision, sentences: count, times, tasks, swap }: Measured): Section {
  const rows = Object.entries({ ...times, ...tasks }).map(([side, { ratio, median, p10, p90 }]) => [
    side,
    ratio.toFixed(3),
    (count / median).toFixed(1),
    `${milliseconds(median)} [${milliseconds(p10)} ${milliseconds(p90)}]`,
  ]);
  const change = `${milliseconds(swap.median)} [${milliseconds(swap.p10)} ${milliseconds(swap.p90)}]`;
  return {
    title: `${ADAPTERS} adapters on ${model}, ${precision}, r = 8 on all linears, batches of ${BATCH}`,
    note:
      "SST-2's lengths and the adapters in random order; ratio: time over that of one adapter for all, median of rounds. " +
      'The last two sides answer each text by all 8 adapters, which sit in the upper third of the layers; their ratio is to the first of them',
    header: ['side', 'ratio', 'sentences/s', 'ms a turn [p10 p90]'],
    rows: [...rows, ['another adapter into a slot', '', '', change]],
  };
}

function figuresOf({ times, tasks, swap }: Measured): Record<string, Figure> {
  const over = (side: keyof Measured['times'], other: keyof Measured['times']) =>
    times[other].median / times[side].median;
  return {
    'adapters.mixedOverOne': over('mixed', 'one adapter'),
    'adapters.mixedOverGrouped': over('mixed', 'grouped by adapter'),
    'adapters.unmergedOverMerged': over('one adapter', 'merged'),
    'adapters.sharedOverEach': 1 / tasks['one pass for all'].ratio,
    'adapters.swapMilliseconds': swap.median * 1000,
  };
}

function settingsOf({ quick, model }: BenchmarkOptions): { model: ModelName; rounds: number } {
  return { model: model ?? (quick ? 'minilm' : 'roberta-base'), rounds: quick ? 3 : 9 };
}

export const benchmark: Benchmark = {
  name: 'adapters',
  question: 'What do several adapters on one base cost: mixed in a batch, grouped, merged, changed?',
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
