/**
 * Steps of several trainers that run together: those that bring the same batch share one program,
 * in which what their models have in common runs once; programs of other batches run side by side
 * in a mixed step, which reads each frozen weight once for all of them. Each trainer ends with the
 * bits that it has alone, and keeps its own schedule, clipping, optimizer and length.
 * How the graphs become one: src/graph/join.ts; side by side: src/graph/program.ts. Who trains so:
 * src/task/fine_tune.ts.
 */
import { joinGraphs, lossInputs, nameOfOwn } from '../graph/join';
import type { Parameter } from '../graph/parameter';
import { type Plan, plan } from '../graph/plan';
import { type AccumulateOptions, type ApplyOptions, type BatchTensors, Program } from '../graph/program';
import type { Graph } from '../graph/value';
import type { MakeProgram, StepProgram } from './step_program';

/** Work of a shared pass over that of each alone, from which on it is not worth its memory. */
const NOTHING_GAINED = 0.95;

/**
 * Most tokens of a batch that goes into a mixed step: products of more rows take so long for a
 * weight that reading it once for several saves next to nothing.
 */
const MOST_TOKENS = 128;

/** Most tokens of a mixed step, whose values are all in memory at a time. */
const MOST_TOKENS_TOGETHER = 512;

type ProgramSettings = Parameters<MakeProgram>[2];
type Moments = ReturnType<Program['readMoments']>;

/** A step that waits for those of the others. */
interface Waiting {
  batch: BatchTensors;
  options: AccumulateOptions;
  done: () => void;
  failed: (error: unknown) => void;
}

type Entry = readonly [Seat, Waiting];

/** A program that takes a step for one trainer, or for several that share it. */
interface Unit {
  program: Program;
  batch: BatchTensors;
  options: AccumulateOptions;
  /** The output with the loss of each. */
  losses: readonly string[];
  group: readonly Entry[];
}

/** The program of one trainer: by itself where its batch is its own alone. */
class Member implements StepProgram {
  readonly plan: Plan;
  /** For steps that nobody shares, and for every optimizer step: gradients are the parameters'. */
  readonly own: Program;
  /** Batch inputs that are read by its loss alone. */
  readonly ownInputs: ReadonlySet<string>;
  /** What is trained by none, and may be another's as well. */
  readonly frozen: ReadonlySet<Parameter>;
  /** Of the micro-batches since gradients were zero. */
  private loss = 0;

  constructor(
    private readonly seat: Seat,
    readonly graph: Graph,
    planned: Plan,
    readonly settings: ProgramSettings,
  ) {
    this.plan = planned;
    this.own = new Program(planned, { backend: settings.backend });
    this.ownInputs = new Set(lossInputs(graph));
    this.frozen = new Set(planned.parameters.filter((parameter) => !planned.trained.includes(parameter)));
  }

  /** Nothing: memory is had for the program that is shared, at its first step. */
  async reserve(): Promise<void> {}

  accumulate(batch: BatchTensors, options: AccumulateOptions): Promise<void> {
    return this.seat.step(batch, options);
  }

  /** The loss of a micro-batch, whoever computed it. */
  note(loss: number, { zeroGradients, lossScale = 1 }: AccumulateOptions): void {
    this.loss = (zeroGradients ? 0 : this.loss) + loss * lossScale;
  }

  async apply(options: ApplyOptions): ReturnType<Program['apply']> {
    const { loss } = this;
    if (!Number.isFinite(loss)) return { applied: false, gradientNorm: Number.NaN, loss };
    return { ...(await this.own.apply(options)), loss };
  }

  readMoments(...args: Parameters<Program['readMoments']>): Moments {
    return this.own.readMoments(...args);
  }

  writeMoments(...args: Parameters<Program['writeMoments']>): void {
    this.own.writeMoments(...args);
  }

  dispose(): void {
    this.own.dispose();
    this.seat.leave();
  }
}

/** One trainer's place among those that run together. */
export class Seat {
  /** Batches that another one had too. */
  sharedBatches = 0;
  /** Batches that were in a mixed step with others. */
  mixedBatches = 0;
  member: Member | undefined;
  private left = false;

  /** @internal see {@link SharedSteps} */
  constructor(
    private readonly table: SharedSteps,
    readonly number: number,
  ) {}

  /** For the trainer. */
  readonly makeProgram: MakeProgram = (graph, planned, settings) => {
    this.member = new Member(this, graph, planned, settings);
    return this.member;
  };

  get hasLeft(): boolean {
    return this.left;
  }

  /** @internal */
  step(batch: BatchTensors, options: AccumulateOptions): Promise<void> {
    return new Promise((done, failed) => this.table.wait(this, { batch, options, done, failed }));
  }

  /** The others go on without this one: it has ended, or failed. */
  leave(): void {
    if (this.left) return;
    this.left = true;
    this.table.go();
  }
}

/**
 * A step is taken when every trainer that has not left is at its next one. Which of them share it
 * is seen from their batches, from what else a pass depends on, and from what sharing saves; it
 * changes nothing of results.
 */
export class SharedSteps {
  readonly seats: readonly Seat[];
  private readonly waiting = new Map<Seat, Waiting>();
  /** Undefined for those who have next to nothing in common. */
  private readonly programs = new Map<string, Program | undefined>();

  /** @param count how many trainers there are to come. */
  constructor(count: number) {
    this.seats = Array.from({ length: count }, (_, i) => new Seat(this, i));
  }

  /** @internal */
  wait(seat: Seat, step: Waiting): void {
    this.waiting.set(seat, step);
    this.go();
  }

  /** Takes the steps that wait, when nobody is missing. @internal */
  go(): void {
    if (this.seats.some((seat) => !seat.hasLeft && !this.waiting.has(seat))) return;
    const steps = [...this.waiting].sort(([a], [b]) => a.number - b.number);
    this.waiting.clear();
    this.forget();
    const groups: Entry[][] = [];
    for (const entry of steps) {
      const group = groups.find(([first]) => first && mayShare(first, entry));
      if (group) group.push(entry);
      else groups.push([entry]);
    }
    void this.run(groups);
  }

  private async run(groups: readonly Entry[][]): Promise<void> {
    const units: Unit[] = [];
    for (const group of groups) {
      try {
        units.push(...this.unitsOf(group));
      } catch (error) {
        for (const [, { failed }] of group) failed(error);
      }
    }
    for (const mixed of mixedSteps(units)) {
      const errors = await accumulate(mixed);
      for (const [i, unit] of mixed.entries()) finish(unit, errors[i], mixed.length > 1);
    }
  }

  /** One for all of them, or one for each where they share next to nothing. */
  private unitsOf(group: readonly Entry[]): Unit[] {
    const program = this.programOf(group);
    if (!program) {
      return group.map((entry) => {
        const [{ member }, { batch, options }] = entry;
        return { program: (member as Member).own, batch, options, losses: ['loss'], group: [entry] };
      });
    }
    const [[, { batch, options }]] = group as [Entry];
    const tensors = { ...batch.tensors };
    for (const [i, [{ member }, { batch: own }]] of group.entries()) {
      for (const name of (member as Member).ownInputs) {
        delete tensors[name];
        tensors[nameOfOwn(name, i)] = own.tensors[name]!;
      }
    }
    const losses = group.map((_, i) => nameOfOwn('loss', i));
    return [{ program, batch: { tensors, sizes: batch.sizes }, options, losses, group }];
  }

  /** Undefined where they share next to nothing: the values of a step would be there for each. */
  private programOf(group: readonly Entry[]): Program | undefined {
    const [[, { batch }]] = group as [Entry];
    if (group.length === 1) return undefined;
    const members = group.map(([{ member }]) => member as Member);
    const key = this.keyOf(members);
    if (this.programs.has(key)) return this.programs.get(key);
    const { settings } = members[0] as Member;
    const joined = plan(joinGraphs(members.map((member) => member.graph)), { ...settings, train: true });
    const work = (one: Plan) => one.flops(batch.sizes).forward + one.flops(batch.sizes).backward;
    const apart = members.reduce((sum, member) => sum + work(member.plan), 0);
    const pays = work(joined) < NOTHING_GAINED * apart;
    const program = pays ? new Program(joined, { backend: settings.backend }) : undefined;
    this.programs.set(key, program);
    return program;
  }

  private keyOf(members: readonly Member[]): string {
    return this.seats
      .filter(({ member }) => member && members.includes(member))
      .map(({ number }) => number)
      .join();
  }

  /** Frees programs of those that have left. */
  private forget(): void {
    for (const [key, program] of this.programs) {
      if (!key.split(',').some((number) => this.seats[Number(number)]?.hasLeft)) continue;
      program?.dispose();
      this.programs.delete(key);
    }
  }
}

/** Runs the steps of a mixed step. @returns of each what it threw. */
async function accumulate(mixed: readonly Unit[]): Promise<unknown[]> {
  if (mixed.length > 1) return await Program.accumulateSideBySide(mixed);
  const [{ program, batch, options }] = mixed as [Unit];
  try {
    await program.accumulate(batch, options);
    return [undefined];
  } catch (error) {
    return [error];
  }
}

/** Tells those who wait for a unit how it ended. */
function finish({ group, program, losses }: Unit, error: unknown, wasMixed: boolean): void {
  for (const [i, [seat, { options, done, failed }]] of group.entries()) {
    try {
      if (error !== undefined) throw error;
      seat.member?.note(program.scalar(losses[i]!), options);
      if (group.length > 1) seat.sharedBatches++;
      if (wasMixed) seat.mixedBatches++;
      done();
    } catch (reason) {
      failed(reason);
    }
  }
}

/** Units in the order of the first of each step; those that are by themselves take turns. */
function mixedSteps(units: readonly Unit[]): Unit[][] {
  const steps: Unit[][] = [];
  const tokens = (step: readonly Unit[]) => step.reduce((sum, { batch }) => sum + batch.sizes.T, 0);
  for (const unit of units) {
    const step = steps.find(
      (others) => others.every((other) => mayMix(other, unit)) && tokens([...others, unit]) <= MOST_TOKENS_TOGETHER,
    );
    if (step) step.push(unit);
    else steps.push([unit]);
  }
  return steps;
}

/** Whether a mixed step of both reads a frozen weight once where each would read it. */
function mayMix(one: Unit, other: Unit): boolean {
  const [first, second] = [one.group[0]?.[0].member as Member, other.group[0]?.[0].member as Member];
  // On a GPU the steps are recorded, and run in turns.
  if (first.settings.backend !== 'cpu' || second.settings.backend !== 'cpu') return false;
  if (one.batch.sizes.T > MOST_TOKENS || other.batch.sizes.T > MOST_TOKENS) return false;
  const { precision, baseWeights } = first.settings;
  if (second.settings.precision !== precision || second.settings.baseWeights !== baseWeights) return false;
  return [...first.frozen].some((parameter) => parameter.shape.length === 2 && second.frozen.has(parameter));
}

/** Whether one pass can serve both: what it depends on is the same. */
function mayShare([a, one]: Entry, [b, other]: Entry): boolean {
  const [first, second] = [a.member as Member, b.member as Member];
  const same = <T extends object>(x: T, y: T, names: readonly (keyof T)[]) =>
    names.every((name) => x[name] === y[name]);
  if (!same(first.settings, second.settings, ['backend', 'fused', 'precision', 'baseWeights', 'embeddingWeights']))
    return false;
  if (!same(one.options, other.options, ['seed', 'forwardNumber', 'lossScale', 'zeroGradients'])) return false;
  if (!same(one.batch.sizes, other.batch.sizes, ['T', 'S', 'M'])) return false;
  // One may read what the other's batch has not: states of frozen layers that are kept.
  const all = [...Object.keys(one.batch.tensors), ...Object.keys(other.batch.tensors)];
  const names = [...new Set(all)].filter((name) => !first.ownInputs.has(name) && !second.ownInputs.has(name));
  return names.every((name) => {
    const [x, y] = [one.batch.tensors[name], other.batch.tensors[name]];
    return x && y && bytesOf(x).equals(bytesOf(y));
  });
}

const bytesOf = ({ buffer, byteOffset, byteLength }: ArrayBufferView) => Buffer.from(buffer, byteOffset, byteLength);
