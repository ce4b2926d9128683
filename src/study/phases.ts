/**
 * The trials of a study, in three parts of one journal: the search, the best setting of each method
 * again with other seeds, and the same on fewer examples. What a trial of each is, from its place
 * in line and what came before; workers (worker.ts) take them one by one.
 */
import type { JournalState, Slot, StudyRecord, TrialRecord } from './journal/records';
import { paramsOf } from './journal/records';
import type { ResolvedStudy } from './options';
import { type Outcome, sample } from './search/sampler';
import type { Distribution, Value } from './space/distribution';
import type { Arm } from './trial_options';

/** Name of the search's study in the journal; the other parts add to it. */
export const SEARCH = 'search';

/** One part of a study, itself a study in the journal. */
export interface Phase {
  name: string;
  /** Folder of its runs, within the study's. */
  folder: string;
  /** Whether trials that fall behind are stopped. */
  stops: boolean;
  /** Whether runs are kept to be measured at the end. */
  keeps: boolean;
  /** How many trials it has, once the phases before it are over. */
  count: (state: JournalState) => number;
  slot: (state: JournalState, index: number) => Slot;
}

export const isOver = ({ state }: TrialRecord) => state === 'complete' || state === 'pruned' || state === 'failed';

/** Trials of ours; others may have been added by Optuna. */
export const ownTrials = (study: StudyRecord | undefined) =>
  (study?.trials ?? []).filter(({ slot }) => slot !== undefined);

/** The best trial of a method; of equal ones the first, as in Optuna. */
export function bestOf(study: StudyRecord | undefined, arm: string): TrialRecord | undefined {
  const ended = ownTrials(study).filter(
    ({ slot, state, value }) => slot?.arm === arm && state === 'complete' && value !== undefined,
  );
  const sign = study?.maximize ? 1 : -1;
  return ended.reduce<TrialRecord | undefined>(
    (best, trial) =>
      best === undefined || sign * (trial.value as number) > sign * (best.value as number) ? trial : best,
    undefined,
  );
}

const choice = (choices: readonly Value[]): Distribution => ({ kind: 'categorical', choices });
const wholes = (low: number, high: number): Distribution => ({ kind: 'int', low, high, log: false, step: 1 });

function outcomeOf({ params, state, value, reports }: TrialRecord): Outcome {
  const last = [...reports].at(-1);
  return {
    params,
    value: state === 'complete' ? value : undefined,
    stopped: state === 'pruned' && last ? { value: last[1], reports: last[0] } : undefined,
  };
}

function searchPhase(study: ResolvedStudy): Phase {
  const { arms, trials, sampler, startup, seed } = study;
  const methods = arms.map(({ method }) => method);
  return {
    name: SEARCH,
    folder: 'trials',
    stops: study.asha !== undefined,
    keeps: false,
    count: () => arms.length * trials,
    slot(state, number) {
      const stream = Math.floor(number / trials);
      const index = number % trials;
      const { method, space } = arms[stream] as Arm;
      const record = state.study(SEARCH);
      const before = ownTrials(record).filter((trial) => trial.slot?.arm === method && isOver(trial));
      const chosen = sample({
        space,
        given: new Map([['method', method]]),
        index,
        outcomes: before.map(outcomeOf),
        maximize: record?.maximize ?? true,
        ...{ seed, stream, sampler, startup },
      });
      const params = chosen.map(({ name, distribution, internal }) => ({ name, distribution, internal }));
      const own = { name: 'method', distribution: choice(methods), internal: methods.indexOf(method) };
      return { arm: method, index, params: [own, ...params] };
    },
  };
}

/** A method with its best trial. */
export interface Chosen {
  arm: string;
  best: TrialRecord;
}

/** Methods of which a trial came to its end, with the best. */
export function chosenArms(study: ResolvedStudy, state: JournalState): Chosen[] {
  return study.arms.flatMap(({ method }) => {
    const best = bestOf(state.study(SEARCH), method);
    return best === undefined ? [] : [{ arm: method, best }];
  });
}

function repeatPhase(study: ResolvedStudy): Phase {
  const { repeats, seed } = study;
  return {
    name: `${SEARCH}/repeats`,
    folder: 'repeats',
    stops: false,
    keeps: true,
    count: (state) => chosenArms(study, state).length * repeats,
    slot(state, number) {
      const { arm, best } = chosenArms(study, state)[Math.floor(number / repeats)] as Chosen;
      const index = number % repeats;
      // The search's own seed has chosen the setting: it would flatter it.
      const params = [
        { name: 'trial', distribution: wholes(0, study.arms.length * study.trials - 1), internal: best.number },
        { name: 'seed', distribution: wholes(seed + 1, seed + repeats), internal: seed + 1 + index },
      ];
      return { arm, index, params };
    },
  };
}

function sizePhase(study: ResolvedStudy): Phase {
  const { trainSizes, repeats, seed } = study;
  const each = trainSizes.length * repeats;
  return {
    name: `${SEARCH}/train-sizes`,
    folder: 'sizes',
    stops: false,
    keeps: false,
    count: (state) => chosenArms(study, state).length * each,
    slot(state, number) {
      const { arm, best } = chosenArms(study, state)[Math.floor(number / each)] as Chosen;
      const index = number % each;
      const [least, most] = [trainSizes[0] as number, trainSizes.at(-1) as number];
      const size = trainSizes[Math.floor(index / repeats)] as number;
      const params = [
        { name: 'trial', distribution: wholes(0, study.arms.length * study.trials - 1), internal: best.number },
        { name: 'seed', distribution: wholes(seed + 1, seed + repeats), internal: seed + 1 + (index % repeats) },
        { name: 'size', distribution: wholes(least, most), internal: size },
      ];
      return { arm, index, params };
    },
  };
}

export function phasesOf(study: ResolvedStudy): Phase[] {
  return [searchPhase(study), repeatPhase(study), ...(study.trainSizes.length > 0 ? [sizePhase(study)] : [])];
}

/** What a trial runs with: its own values, or those of the trial that it repeats. */
export function settingsOf(
  study: ResolvedStudy,
  state: JournalState,
  trial: TrialRecord,
): { params: Record<string, Value>; seed: number; size: number | undefined } {
  const params = paramsOf(trial);
  const { trial: of, seed = study.seed, size } = params;
  if (of === undefined) return { params, seed: study.seed, size: undefined };
  const repeated = state.study(SEARCH)?.trials[of as number] as TrialRecord;
  return { params: paramsOf(repeated), seed: seed as number, size: size as number | undefined };
}
