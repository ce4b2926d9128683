/**
 * What a training run tells while it runs, and who is told.
 * The trainer (trainer.ts) calls; event_log.ts writes it down, src/cli/progress.ts shows it.
 */

export interface RunEvent {
  /** Optimizer steps done: more than 0 where the run goes on from a checkpoint. */
  step: number;
  totalSteps: number;
}

/** After an optimizer step. */
export interface StepEvent {
  /** Optimizer steps done, from 1. */
  step: number;
  totalSteps: number;
  /** Epochs done, with fraction. */
  epoch: number;
  loss: number;
  learningRate: number;
  gradientNorm: number;
  /** Tokens of this step. */
  tokens: number;
  /** Over the last steps, evaluation left out. */
  tokensPerSecond: number;
  samplesPerSecond: number;
  /** Estimated seconds to the end. */
  secondsLeft: number;
}

/** After an evaluation. */
export interface EvaluationEvent {
  step: number;
  epoch: number;
  metrics: Record<string, number>;
  /** Whether it is the best so far. */
  best: boolean;
  seconds: number;
}

/** After a checkpoint. */
export interface CheckpointEvent {
  step: number;
  path: string;
}

/** All are called in order and awaited; what they throw ends the run. */
export interface TrainerCallbacks {
  /** Before the first step, when all options and data are known to be good. */
  onStart?(event: RunEvent): void | Promise<void>;
  /** After each optimizer step. */
  onStep?(event: StepEvent): void | Promise<void>;
  /** After each evaluation. */
  onEvaluate?(event: EvaluationEvent): void | Promise<void>;
  /** After each checkpoint. */
  onCheckpoint?(event: CheckpointEvent): void | Promise<void>;
}
