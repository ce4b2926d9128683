/**
 * How do time and memory of a training step grow with tokens, sentence length, rank, adapted layers
 * and threads? With fitted exponents.
 * The fits: lib/fit.ts.
 */
import { native } from '../src/native';
import { equalBatches, type TokenBatch } from './lib/batches';
import { mebibytes } from './lib/child';
import { fitLine, fitPower, type Point } from './lib/fit';
import { main } from './lib/main';
import { interleave, type Timing } from './lib/measure';
import { adapterFolder, allLinears, configOfModel, type ModelName, modelFolder } from './lib/models';
import type { Costs, LoadArguments } from './lib/protocol';
import { milliseconds } from './lib/report';
import type { Benchmark, BenchmarkOptions, Figure, Section } from './lib/result';
import { openOurs, type Side, trainSteps } from './lib/sides';

interface Settings {
  model: ModelName;
  rounds: number;
  /** Tokens of a batch, in sentences of LENGTH. */
  tokens: number[];
  /** Tokens a sentence, at LENGTH_TOKENS tokens a batch. */
  lengths: number[];
  lengthTokens: number;
  ranks: number[];
  /** Adapted layers, counted from the top. */
  layers: number[];
}
const LENGTH = 32;
const RANK = 8;

function settingsOf({ quick, model }: BenchmarkOptions): Settings {
  const chosen = model ?? (quick ? 'minilm' : 'roberta-base');
  const { num_hidden_layers: layers, hidden_size: widest } = configOfModel(chosen);
  const some = { model: chosen, lengthTokens: 512, layers: [1, layers / 2, layers] };
  if (quick)
    return {
      ...some,
      rounds: 3,
      tokens: [128, 512, 1024],
      lengths: [32, 128, 512],
      ranks: [4, 16, 64].filter((r) => r <= widest),
    };
  return {
    ...some,
    rounds: 7,
    tokens: [128, 256, 512, 1024, 2048, 4096],
    lengths: [16, 32, 64, 128, 256, 512],
    lengthTokens: 2048,
    ranks: [1, 2, 4, 8, 16, 32, 64, 128].filter((r) => r <= widest),
    layers: [...new Set([1, 2, 3, 4, 6, 8, 10, 12].filter((n) => n < layers)), layers],
  };
}

interface Measured {
  x: number;
  step: Timing;
  /** By the plan: arena with the saved activations, and optimizer state. */
  bytes: number;
  savedBytes: number;
}

interface Dimension {
  name: string;
  /** What is held fixed. */
  fixed: string;
  unit: string;
  points: Measured[];
  /** Log axes, and an exponent: things that need no offset. */
  power: boolean;
}

const memoryOf = ({ arenaBytes, optimizerBytes, savedBytes }: Costs) => ({
  bytes: arenaBytes + optimizerBytes,
  savedBytes,
});

/** Steps on several batches of one model, in turns. */
async function overBatches(
  model: LoadArguments,
  batches: Map<number, TokenBatch>,
  rounds: number,
): Promise<Measured[]> {
  const side = await openOurs(model, [...batches.values()]);
  const costs = await side.child.call<Costs[]>('costs', { dropout: true });
  const xs = [...batches.keys()];
  const turns = Object.fromEntries(
    xs.map((x, i) => [String(x), async () => (await trainSteps(side, [i])).seconds] as const),
  );
  const timings = await interleave(turns, { rounds });
  side.child.close();
  return xs.map((x, i) => ({ x, step: timings[String(x)] as Timing, ...memoryOf(costs[i] as Costs) }));
}

/** Steps of several models on one batch, in turns. */
async function overModels(models: Map<number, LoadArguments>, batch: TokenBatch, rounds: number): Promise<Measured[]> {
  const sides = new Map<number, Side>();
  for (const [x, model] of models) sides.set(x, await openOurs(model, [batch]));
  const turns = Object.fromEntries(
    [...sides].map(([x, side]) => [String(x), async () => (await trainSteps(side, [0])).seconds] as const),
  );
  const timings = await interleave(turns, { rounds, pause: 20 });
  const points: Measured[] = [];
  for (const [x, { child }] of sides) {
    const [costs] = await child.call<[Costs]>('costs', { dropout: true });
    points.push({ x, step: timings[String(x)] as Timing, ...memoryOf(costs) });
    child.close();
  }
  return points;
}

/** One process whose number of threads changes from turn to turn. */
async function overThreads(model: LoadArguments, batch: TokenBatch, rounds: number): Promise<Measured[]> {
  const most = native().info().threads;
  const counts = Array.from({ length: most }, (_, i) => i + 1).filter((n) => n === most || (n & (n - 1)) === 0);
  const side = await openOurs(model, [batch]);
  const [costs] = await side.child.call<[Costs]>('costs', { dropout: true });
  const turns = Object.fromEntries(
    counts.map((count) => {
      const turn = async () => {
        await side.child.call('threads', { count });
        return (await trainSteps(side, [0])).seconds;
      };
      return [String(count), turn] as const;
    }),
  );
  const timings = await interleave(turns, { rounds });
  side.child.close();
  return counts.map((x) => ({ x, step: timings[String(x)] as Timing, ...memoryOf(costs) }));
}

async function measure({
  model,
  rounds,
  tokens,
  lengths,
  lengthTokens,
  ranks,
  layers,
}: Settings): Promise<Dimension[]> {
  const folder = modelFolder(model);
  const withAdapter = (rank: number, adapted?: number[]): LoadArguments => ({
    folder,
    method: 'lora',
    adapter: adapterFolder(model, allLinears(rank, adapted)),
  });
  const count = configOfModel(model).num_hidden_layers;
  const top = (n: number) => Array.from({ length: n }, (_, i) => count - n + i);
  const batchOf = (total: number, length: number) => equalBatches(model, 1, total / length, length)[0] as TokenBatch;
  const usual = batchOf(512, LENGTH);
  const keyed = <T>(xs: number[], of: (x: number) => T) => new Map(xs.map((x) => [x, of(x)]));
  const adapter = `LoRA r = ${RANK} on all linears`;
  return [
    {
      name: 'tokens a batch',
      fixed: `sentences of ${LENGTH}, ${adapter}`,
      unit: 'tokens',
      power: true,
      points: await overBatches(
        withAdapter(RANK),
        keyed(tokens, (n) => batchOf(n, LENGTH)),
        rounds,
      ),
    },
    {
      name: 'sentence length',
      fixed: `${lengthTokens} tokens a batch, ${adapter}`,
      unit: 'tokens a sentence',
      power: true,
      points: await overBatches(
        withAdapter(RANK),
        keyed(lengths, (n) => batchOf(lengthTokens, n)),
        rounds,
      ),
    },
    {
      name: 'rank',
      fixed: `16 × ${LENGTH} tokens, all linears`,
      unit: 'rank',
      power: true,
      points: await overModels(
        keyed(ranks, (r) => withAdapter(r)),
        usual,
        rounds,
      ),
    },
    {
      name: 'adapted layers',
      fixed: `16 × ${LENGTH} tokens, r = ${RANK} on all linears of the top layers`,
      unit: 'layers',
      power: false,
      points: await overModels(
        keyed(layers, (n) => withAdapter(RANK, top(n))),
        usual,
        rounds,
      ),
    },
    {
      name: 'threads',
      fixed: `16 × ${LENGTH} tokens, ${adapter}`,
      unit: 'threads',
      power: true,
      points: await overThreads(withAdapter(RANK), usual, rounds),
    },
  ];
}

const timeOf = ({ x, step }: Measured): Point => ({ x, y: step.median });
const memoryPoint = ({ x, bytes }: Measured): Point => ({ x, y: bytes });

function tableOf({ name, fixed, unit, points, power }: Dimension, model: ModelName): Section {
  const first = points[0] as Measured;
  return {
    title: `${name}: ${model}, fp32`,
    note: `${fixed}; ratios to the first row; memory: arena and optimizer state by the plan`,
    header: [unit, 'time ratio', 'memory ratio', 'ms a step [p10 p90]', 'memory MiB', 'saved MiB'],
    rows: points.map(({ x, step, bytes, savedBytes }) => [
      String(x),
      (step.median / first.step.median).toFixed(2),
      (bytes / first.bytes).toFixed(2),
      `${milliseconds(step.median)} [${milliseconds(step.p10)} ${milliseconds(step.p90)}]`,
      mebibytes(bytes).toFixed(1),
      mebibytes(savedBytes).toFixed(1),
    ]),
    plot: {
      kind: 'lines',
      unit: 'ms a step',
      xUnit: unit,
      log: power,
      series: [{ name: 'ms a step', points: points.map((p) => ({ x: p.x, y: p.step.median * 1e3 })) }],
    },
  };
}

/** A figure and a line of the table for every dimension that has two sizes. */
function fitsOf(dimensions: readonly Dimension[]) {
  const figures: Record<string, Figure> = {};
  const rows: string[][] = [];
  for (const { name, unit, points } of dimensions) {
    const key = name.replace(/ (\w)/g, (_, letter: string) => letter.toUpperCase());
    if (points.length < 2) {
      figures[`scale.${key}.timeExponent`] = { missing: `one value of ${unit} on this machine` };
      continue;
    }
    const [time, memory] = [fitPower(points.map(timeOf)), fitPower(points.map(memoryPoint))];
    const line = fitLine(points.map(timeOf));
    figures[`scale.${key}.timeExponent`] = time.exponent;
    figures[`scale.${key}.memoryExponent`] = memory.exponent;
    rows.push([
      name,
      time.exponent.toFixed(3),
      time.r2.toFixed(3),
      memory.exponent.toFixed(3),
      `${milliseconds(line.intercept)} + ${milliseconds(line.slope)} · x`,
      line.r2.toFixed(3),
    ]);
  }
  const section: Section = {
    title: 'fitted growth',
    note: 'time ≈ c · x^exponent and memory likewise, by least squares of the logarithms; the line: ms a step of medians',
    header: ['x', 'time exponent', 'R²', 'memory exponent', 'line, ms', 'R²'],
    rows,
  };
  return { figures, section };
}

export const benchmark: Benchmark = {
  name: 'scale',
  question: 'How do time and memory of a step grow with tokens, sentence length, rank, adapted layers and threads?',
  alone: true,
  async run(options) {
    const settings = settingsOf(options);
    const dimensions = await measure(settings);
    const { figures, section } = fitsOf(dimensions);
    return {
      peers: {},
      figures,
      sections: [section, ...dimensions.map((dimension) => tableOf(dimension, settings.model))],
      rows: dimensions,
    };
  },
};

if (require.main === module) main(benchmark);
