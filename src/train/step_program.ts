/**
 * What a trainer asks of a program, as types: one of its own (src/graph/program.ts), or a place in
 * one that several trainers run together (shared_steps.ts).
 */
import type { BackendName } from '../graph/parameter';
import type { Plan, PlanOptions } from '../graph/plan';
import type { Program } from '../graph/program';
import type { Graph } from '../graph/value';

/** A program, as far as a trainer and its checkpoints see it. */
export interface StepProgram
  extends Pick<Program, 'reserve' | 'accumulate' | 'apply' | 'readMoments' | 'writeMoments' | 'dispose'> {
  readonly plan: Pick<Plan, 'trained'>;
}

/** Makes the program of a trainer. */
export type MakeProgram = (
  graph: Graph,
  planned: Plan,
  options: Required<Pick<PlanOptions, 'fused' | 'precision' | 'baseWeights' | 'embeddingWeights'>> & {
    backend: BackendName;
  },
) => StepProgram;
