/**
 * The factor of a step on the peak rate: warm-up, then linear, cosine or constant. Same shapes as
 * transformers' get_{linear,cosine,constant}_schedule_with_warmup. Peak rates are in
 * parameter_groups.ts; trainer.ts multiplies the two.
 */
import { FusedLoraError } from '../base/errors';

/** How the learning rate goes on after its warm-up. */
export type ScheduleName = 'linear' | 'cosine' | 'constant';
export const SCHEDULES: readonly ScheduleName[] = ['linear', 'cosine', 'constant'];

export interface ScheduleOptions {
  /** linear: falls to 0; cosine: half a cosine to 0; constant. Default linear. */
  schedule?: ScheduleName;
  /** Steps in which the rate rises from 0. Takes precedence over warmupRatio. */
  warmupSteps?: number;
  /** Share of all steps, in [0, 1]. Default 0. */
  warmupRatio?: number;
}

/**
 * The factor for the optimizer step number `step` (from 0) of `totalSteps`:
 * step / warmup while warming up; then 1 (constant), (total − step) / (total − warmup) (linear),
 * or (1 + cos(π · (step − warmup) / (total − warmup))) / 2 (cosine).
 */
export function scheduleFactor(options: ScheduleOptions, step: number, totalSteps: number): number {
  const warmup = warmupStepsOf(options, totalSteps);
  if (step < warmup) return step / Math.max(1, warmup);
  const schedule = options.schedule ?? 'linear';
  const progress = (step - warmup) / Math.max(1, totalSteps - warmup);
  switch (schedule) {
    case 'constant':
      return 1;
    case 'linear':
      return Math.max(0, 1 - progress);
    case 'cosine':
      return Math.max(0, 0.5 * (1 + Math.cos(Math.PI * progress)));
    default:
      throw unknownSchedule(schedule);
  }
}

function unknownSchedule(schedule: unknown): FusedLoraError {
  return new FusedLoraError(
    'INVALID_ARGUMENT',
    `there is no schedule '${String(schedule)}'; use linear, cosine or constant`,
  );
}

/** Throws INVALID_ARGUMENT naming the option, before there is a number of steps. */
export function checkSchedule(options: ScheduleOptions): void {
  const { schedule = 'linear' } = options;
  if (!SCHEDULES.includes(schedule)) throw unknownSchedule(schedule);
  warmupStepsOf(options, 1);
}

/** Warm-up steps that the options mean for a run of `totalSteps`. */
export function warmupStepsOf(options: ScheduleOptions, totalSteps: number): number {
  const { warmupSteps, warmupRatio = 0 } = options;
  if (warmupSteps !== undefined) {
    if (!(Number.isInteger(warmupSteps) && warmupSteps >= 0)) {
      throw new FusedLoraError('INVALID_ARGUMENT', `warmupSteps is ${warmupSteps}, expected a whole number from 0`);
    }
    return warmupSteps;
  }
  if (!(warmupRatio >= 0 && warmupRatio <= 1)) {
    throw new FusedLoraError('INVALID_ARGUMENT', `warmupRatio is ${warmupRatio}, expected a share in [0, 1]`);
  }
  return Math.ceil(totalSteps * warmupRatio);
}
