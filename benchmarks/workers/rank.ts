/**
 * One rank of a run that is timed, or one process with all threads: trains on random sentences with
 * SST-2's lengths, and rank 0 prints the mean of its steps as JSON.
 * Started by benchmarks/distributed.ts, under mpirun or by itself.
 */
import { addAdapter, EncodedSource, type LoraConfig, loadModel, Trainer, trace } from '../../src';
import { positionsOf } from '../../src/data/batch/sources';
import type { Group } from '../../src/distributed/group';
import { joinGroup } from '../../src/distributed/join';
import { sentences, sst2Lengths } from '../lib/batches';
import { type ModelName, modelFolder } from '../lib/models';

/** What a run is told, as JSON in the first argument. */
export interface RankArguments {
  model: ModelName;
  method: 'lora' | 'full';
  distributed: 'mpi' | 'none';
  /** Of all ranks together. */
  batchSize: number;
  /** Batches that are timed: all that there are. */
  steps: number;
}

/** What rank 0 prints. */
export interface RankResult {
  secondsPerStep: number;
  /** That this rank sent to others in a step, whatever it is for. */
  sentBytes: number;
  /** Of the gradients. */
  gradientBytes: number;
  ranks: number;
}

/** Steps at the start that are not counted. */
export const WARMUP = 2;
export const LORA: LoraConfig = { r: 8, loraAlpha: 16, targetModules: ['query', 'value'] };

async function run({ model: name, method, distributed, batchSize, steps }: RankArguments): Promise<void> {
  const joined = await joinGroup(distributed);
  let sent = 0;
  const group: Group = {
    ...joined,
    exchange: (parts, lengths) => {
      parts.forEach((part, to) => {
        if (to !== joined.rank) sent += part.byteLength;
      });
      return joined.exchange(parts, lengths);
    },
    ...(joined.sum && {
      sum: async (gradients, options) => {
        const report = await joined.sum!(gradients, options);
        sent += report.sentBytes;
        return report;
      },
      gatherValues: async (gradients) => {
        const report = await joined.gatherValues!(gradients);
        sent += report.sentBytes;
        return report;
      },
    }),
  };
  const { model } = loadModel(modelFolder(name), { task: 'sequence-classification', numLabels: 2 });
  if (method === 'lora') addAdapter(model, LORA, { seed: 0 });
  const examples = sentences(name, sst2Lengths(batchSize * steps)).map(({ ids, label }) => ({
    inputIds: Int32Array.from(ids),
    tokenTypeIds: new Int32Array(ids.length),
    label,
  }));
  const source = new EncodedSource(examples, { positions: positionsOf(model), batchSize });
  const seconds: number[] = [];
  let [last, before] = [0, 0];
  let sentBytes = 0;
  const onStep = ({ step }: { step: number }) => {
    const now = performance.now();
    if (step > WARMUP) {
      seconds.push((now - last) / 1000);
      sentBytes = sent - before;
    }
    [last, before] = [now, sent];
  };
  using trainer = new Trainer({
    trace: (options) => trace(model, options),
    learningRate: 1e-4,
    precision: 'fp32',
    maxSteps: steps + WARMUP,
    group,
    callbacks: [{ onStep }],
  });
  const gradientBytes = 4 * trainer.trained.reduce((sum, { count }) => sum + count, 0);
  await trainer.train(source);
  if (group.rank !== 0) return;
  const result: RankResult = {
    secondsPerStep: seconds.reduce((sum, one) => sum + one, 0) / seconds.length,
    sentBytes,
    gradientBytes,
    ranks: group.size,
  };
  process.stdout.write(`${JSON.stringify(result)}\n`);
}

if (require.main === module) void run(JSON.parse(process.argv[2] as string) as RankArguments);
