/**
 * How many optimizer steps a run has, and which data leave that unknown. The rate of each of them
 * is schedule.ts; when a run ends earlier is trainer.ts.
 */
import { FusedLoraError } from '../base/errors';
import type { BatchSource } from '../data/batch/batch';
import type { TrainerOptions } from './options';

type LengthOptions = Pick<TrainerOptions, 'maxSteps' | 'epochs' | 'gradientAccumulation' | 'resume'>;

/** Throws INVALID_ARGUMENT where data that can be read once alone are no whole run. */
export function checkSinglePass({ maxSteps, resume }: LengthOptions): void {
  if (maxSteps === undefined) {
    throw new FusedLoraError(
      'INVALID_ARGUMENT',
      'the data can be read once, so nobody knows how many steps they are good for: give maxSteps, or a function that gives the data anew each time',
    );
  }
  if (resume) {
    throw new FusedLoraError(
      'INVALID_ARGUMENT',
      'a run on data that can be read once can not be resumed: what came before the checkpoint is gone. Give files, or a function that gives the data ' +
        'anew each time',
    );
  }
}

/** maxSteps, or the steps of all epochs; of a last epoch in part, its share rounded up. */
export function totalStepsOf(options: LengthOptions, source: BatchSource): number {
  const { maxSteps, epochs = 3, gradientAccumulation = 1 } = options;
  if (maxSteps !== undefined) return maxSteps;
  const stepsOf = (epoch: number) => Math.ceil(source.epoch(epoch).length / gradientAccumulation);
  let steps = 0;
  for (let epoch = 0; epoch < Math.floor(epochs); epoch++) steps += stepsOf(epoch);
  const rest = epochs - Math.floor(epochs);
  return steps + (rest > 0 ? Math.ceil(stepsOf(Math.floor(epochs)) * rest) : 0);
}
