/**
 * Steps of several LoRA runs on batches of their own over one frozen base: in turns, and mixed
 * (native/program/side_by_side.h). The same programs on both sides, and the same bits
 * (test/task/mixed_steps.test.ts). Who asks: benchmarks/tune.ts.
 */
import { addAdapter, type EncodedExample, loadModel, Program, packBatch, plan, trace } from '../../src';
import type { Batch } from '../../src/data/batch/batch';
import { positionsOf } from '../../src/data/batch/sources';
import { SharedBase } from '../../src/task/shared_base';
import { groupParameters } from '../../src/train/parameter_groups';
import { cut, sentences, sst2Lengths } from './batches';
import { type Interleaved, interleave } from './measure';
import { ALL_LINEARS, type ModelName, modelFolder } from './models';
import { type Precision, planOptions } from './precision';

/** Of runs at once. */
export const RUNS = 4;
/** Texts a batch. */
export const BATCH_SIZES = [1, 4, 16] as const;
/** Of each run a round. */
export const STEPS = 8;

export interface MixedTimes {
  batchSize: number;
  /** Tokens a batch, on average. */
  tokens: number;
  times: Interleaved<'in turns' | 'mixed'>;
}

interface TrainedProgram {
  program: Program;
  batches: Batch[];
  apply(): Promise<void>;
}

/** Programs of runs on one base, in the memory of which weights are packed once. */
function openRuns(name: ModelName, precision: Precision): { programs: Omit<TrainedProgram, 'batches'>[] } & Disposable {
  const base = new SharedBase();
  const models = Array.from({ length: RUNS }, (_, seed) => {
    const { model } = loadModel(modelFolder(name));
    addAdapter(model, ALL_LINEARS, { seed });
    base.share(model);
    return model;
  });
  const programs = models.map((model) => {
    const planned = plan(trace(model, { training: true, loss: true }), planOptions(precision, { train: true }));
    const program = new Program(planned, { backend: 'cpu' });
    const { groups, groupOf } = groupParameters(planned.trained, { learningRate: 1e-4 });
    let step = 0;
    const apply = async () => {
      const options = { groups, groupOf: (parameter: (typeof planned.trained)[number]) => groupOf.get(parameter)! };
      const { applied, loss } = await program.apply({ ...options, step: ++step, maxGradNorm: 1 });
      if (!applied) throw new Error(`step ${step}: the loss ${loss} or its gradient is not finite`);
    };
    return { program, apply };
  });
  return {
    programs,
    [Symbol.dispose]: () => {
      for (const { program } of programs) program.dispose();
      for (const model of models) model.dispose();
    },
  };
}

function batchesOf(name: ModelName, size: number, seed: number): Batch[] {
  const { model } = loadModel(modelFolder(name));
  return cut(sentences(name, sst2Lengths(STEPS * size, seed), seed), size).map((batch) => {
    const examples = batch.map(
      ({ ids, label }): EncodedExample => ({
        ...{ inputIds: Int32Array.from(ids), tokenTypeIds: new Int32Array(ids.length), label },
      }),
    );
    return packBatch(examples, Int32Array.from(examples.keys()), positionsOf(model));
  });
}

/** Ratios of a round are of the same batches. */
export async function mixedSteps(name: ModelName, precision: Precision, rounds: number): Promise<MixedTimes[]> {
  using runs = openRuns(name, precision);
  const measured: MixedTimes[] = [];
  for (const batchSize of BATCH_SIZES) {
    const all: TrainedProgram[] = runs.programs.map((one, i) => ({
      ...one,
      batches: batchesOf(name, batchSize, i + 1),
    }));
    let forwardNumber = 0;
    const secondsOf = async (step: (number: number) => Promise<void>) => {
      const began = performance.now();
      for (let i = 0; i < STEPS; i++) await step(i);
      return (performance.now() - began) / 1000;
    };
    const times = await interleave(
      {
        'in turns': () =>
          secondsOf(async (i) => {
            const options = { forwardNumber: forwardNumber++, zeroGradients: true };
            for (const { program, batches, apply } of all) {
              await program.accumulate(batches[i]!, options);
              await apply();
            }
          }),
        mixed: () =>
          secondsOf(async (i) => {
            const options = { forwardNumber: forwardNumber++, zeroGradients: true };
            const errors = await Program.accumulateSideBySide(
              all.map(({ program, batches }) => ({ program, batch: batches[i]!, options })),
            );
            for (const error of errors) if (error !== undefined) throw error;
            for (const { apply } of all) await apply();
          }),
      },
      { rounds },
    );
    const tokens = all.flatMap(({ batches }) => batches.map(({ sizes }) => sizes.T));
    measured.push({ batchSize, tokens: tokens.reduce((sum, T) => sum + T, 0) / tokens.length, times });
  }
  return measured;
}
