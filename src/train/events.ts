/** What a training run tells while it runs. */

export interface RunEvent {
  /** Optimizer steps done: more than 0 where the run goes on from a checkpoint. */
  step: number;
  totalSteps: number;
}

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

export interface EvaluationEvent {
  step: number;
  epoch: number;
  metrics: Record<string, number>;
  /** Whether it is the best so far. */
  best: boolean;
  seconds: number;
}

export interface CheckpointEvent {
  step: number;
  path: string;
}

/** All are called in order and awaited; what they throw ends the run. */
export interface TrainerCallbacks {
  /** Before the first step, when all options and data are known to be good. */
  onStart?(event: RunEvent): void | Promise<void>;
  onStep?(event: StepEvent): void | Promise<void>;
  onEvaluate?(event: EvaluationEvent): void | Promise<void>;
  onCheckpoint?(event: CheckpointEvent): void | Promise<void>;
}
