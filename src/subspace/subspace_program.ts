/**
 * Training steps in a subspace, as a trainer takes them: the gradients of all weights are those of
 * an ordinary program, and what is stepped is the point alone. The trainer is
 * src/train/trainer.ts; the point and its projection are in subspace.ts.
 */
import type { BackendName, Parameter } from '../graph/parameter';
import type { Plan } from '../graph/plan';
import { type AccumulateOptions, type ApplyOptions, type BatchTensors, Program } from '../graph/program';
import type { Sizes } from '../graph/value';
import type { MakeProgram, StepProgram } from '../train/step_program';
import { adamwStep, type Moments } from './adamw';
import type { Subspace } from './subspace';

class SubspaceProgram implements StepProgram {
  readonly plan: StepProgram['plan'];
  private readonly inner: Program;
  private readonly moments = new Map<Parameter, Moments>();
  /** Of the micro-batches since gradients were zero. */
  private loss = 0;

  constructor(
    private readonly subspace: Subspace,
    planned: Plan,
    private readonly backend: BackendName,
  ) {
    this.inner = new Program(planned, { backend });
    this.plan = { trained: subspace.trained };
    for (const parameter of subspace.trained) {
      const { count } = parameter;
      this.moments.set(parameter, { first: new Float32Array(count), second: new Float32Array(count) });
    }
  }

  reserve(sizes: Sizes): Promise<void> {
    return this.inner.reserve(sizes);
  }

  async accumulate(batch: BatchTensors, options: AccumulateOptions): Promise<void> {
    // Of a run that goes on, z has come from its checkpoint.
    if (options.zeroGradients) await this.subspace.materialize(this.backend);
    await this.inner.accumulate(batch, options);
    const { zeroGradients, lossScale = 1 } = options;
    this.loss = (zeroGradients ? 0 : this.loss) + lossScale * this.inner.scalar('loss');
  }

  async apply(options: ApplyOptions): ReturnType<Program['apply']> {
    const { loss, subspace, backend, inner } = this;
    if (!Number.isFinite(loss)) return { applied: false, gradientNorm: Number.NaN, loss };
    const trained = new Set(inner.plan.trained);
    // What leads to no loss (a pooler that a head of words does not read) has a gradient of 0.
    const gradientOf = (parameter: Parameter) =>
      trained.has(parameter) ? (inner.gradient(parameter) as Float32Array) : new Float32Array(parameter.count);
    const gradients = await subspace.project(backend, gradientOf);
    const stepped = subspace.trained.map((parameter, i) => ({
      parameter,
      gradient: gradients[i] as Float32Array,
      moments: this.moments.get(parameter) as Moments,
    }));
    const { applied, gradientNorm } = adamwStep(stepped, options);
    if (applied) await subspace.materialize(backend);
    return { applied, gradientNorm, loss };
  }

  readMoments(parameter: Parameter): Moments {
    const { first, second } = this.moments.get(parameter) as Moments;
    return { first: first.slice(), second: second.slice() };
  }

  writeMoments(parameter: Parameter, { first, second }: Moments): void {
    this.moments.set(parameter, { first: first.slice(), second: second.slice() });
  }

  dispose(): void {
    this.inner.dispose();
  }
}

/** For a trainer whose graph is of the subspace's model. */
export const subspaceProgram =
  (subspace: Subspace): MakeProgram =>
  (_, planned, { backend }) =>
    new SubspaceProgram(subspace, planned, backend);
