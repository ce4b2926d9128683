/**
 * A worker of a study: takes trials from the journal one after the other, those of workers that
 * are gone first, until a phase is over. Several may work at once, on several machines. What trials
 * there are: phases.ts; what one does: run_trial.ts.
 */
import * as path from 'node:path';
import { FusedLoraError } from '../base/errors';
import type { JsonObject } from '../io/json';
import { type Claim, Claims } from './claims';
import type { Journal } from './journal/journal_file';
import {
  attributeRecords,
  endRecord,
  parameterRecords,
  reportRecord,
  studyRecord,
  type TrialRecord,
  trialRecords,
} from './journal/records';
import type { ResolvedStudy } from './options';
import { isOver, ownTrials, type Phase, settingsOf } from './phases';
import { removeWeights, runTrial, type TrialOutcome } from './run_trial';
import { stops } from './search/asha';
import type { StudyData } from './study_data';

/** Between looks at the journal, where others have all trials that are left. */
export const WAIT_MS = 500;

/** What a worker tells about a trial. */
export type OnTrial = (phase: Phase, trial: TrialRecord, of: number) => void;

export class Worker {
  private readonly claims: Claims;

  constructor(
    private readonly study: ResolvedStudy,
    private readonly data: StudyData,
    private readonly metric: string,
    private readonly maximize: boolean,
    private readonly journal: Journal,
    private readonly onTrial: OnTrial,
  ) {
    this.claims = new Claims(study.outputDir);
  }

  /** Works until every trial of the phase is over, whoever does it. */
  async run(phase: Phase): Promise<void> {
    for (;;) {
      this.study.signal?.throwIfAborted();
      const next = await this.take(phase);
      if (next === 'over') return;
      if (next === 'others') {
        await waitFor(WAIT_MS, this.study.signal);
        continue;
      }
      using _claim = next.claim;
      await this.work(phase, next.trial);
    }
  }

  /** A trial that nobody has, or a new one. */
  private async take(phase: Phase): Promise<{ trial: TrialRecord; claim: Claim } | 'over' | 'others'> {
    let taken: { id: number; claim: Claim } | undefined;
    let left = false;
    const state = await this.journal.change((state) => {
      const records: JsonObject[] = [];
      const own = ownTrials(state.study(phase.name));
      const running = own.filter((trial) => !isOver(trial));
      const free = running.find((trial) => this.claims.isFree(claimOf(phase, trial)));
      if (free?.slot) {
        // What a killed worker did not come to write.
        if (free.params.size < free.slot.params.length) records.push(...parameterRecords(free.id, free.slot));
        taken = { id: free.id, claim: this.claims.take(claimOf(phase, free)) };
        return records;
      }
      left = running.length > 0;
      if (own.length >= phase.count(state)) return [];
      const made = state.study(phase.name);
      if (made === undefined) records.push(studyRecord(phase.name, this.maximize));
      const id = state.trials.length;
      const number = made?.trials.length ?? 0;
      taken = { id, claim: this.claims.take(`${phase.folder}-${number}`) };
      return [...records, ...trialRecords(made?.id ?? state.studies.length, id, phase.slot(state, own.length))];
    });
    if (taken !== undefined) return { trial: state.trials[taken.id] as TrialRecord, claim: taken.claim };
    return left ? 'others' : 'over';
  }

  private async work(phase: Phase, { id, number }: TrialRecord): Promise<void> {
    const { study, data, metric, journal } = this;
    const before = journal.read();
    const trial = before.trials[id] as TrialRecord;
    this.onTrial(phase, trial, phase.count(before));
    const folder = path.join(study.outputDir, phase.folder, String(number).padStart(4, '0'));
    const began = performance.now();
    const outcome = await runTrial({
      ...{ study, data, metric, folder, ...settingsOf(study, before, trial) },
      folds: (trial.attributes['folds'] as number[] | undefined) ?? [],
      signal: study.signal,
      report: (step, value) => this.report(phase, id, step, value),
      foldDone: async (folds) => void (await journal.change(() => attributeRecords(id, { folds }))),
    });
    const seconds = (performance.now() - began) / 1000;
    const state = await journal.change((state) => endRecords(state.trials[id] as TrialRecord, outcome, seconds));
    if (!phase.keeps || outcome.state !== 'complete') removeWeights(folder, data.parts.length);
    this.onTrial(phase, state.trials[id] as TrialRecord, phase.count(state));
  }

  /** Writes a value down, once, and says whether the trial fell behind. */
  private async report(phase: Phase, id: number, step: number, value: number): Promise<boolean> {
    let behind = false;
    await this.journal.change((state) => {
      const trial = state.trials[id] as TrialRecord;
      const known = trial.reports.has(step);
      const reports = new Map([...trial.reports].filter(([at]) => at < step)).set(step, value);
      const others = ownTrials(state.study(phase.name)).filter(
        (one) => one.id !== id && one.slot?.arm === trial.slot?.arm,
      );
      behind =
        phase.stops &&
        stops(
          reports,
          others.map((one) => one.reports),
          this.maximize,
          this.study.asha,
        );
      return known || !Number.isFinite(value) ? [] : [reportRecord(id, step, value)];
    });
    return behind;
  }
}

const claimOf = (phase: Phase, { number }: TrialRecord) => `${phase.folder}-${number}`;

function endRecords(trial: TrialRecord, outcome: TrialOutcome, seconds: number): JsonObject[] {
  // Taken over by another worker while this one was thought to be gone.
  if (isOver(trial)) return [];
  const { id, reports } = trial;
  switch (outcome.state) {
    case 'complete':
      return [
        ...attributeRecords(id, { ...outcome.facts, trialSeconds: seconds }),
        endRecord(id, 'complete', outcome.value),
      ];
    case 'pruned':
      return [
        ...attributeRecords(id, { trialSeconds: seconds }),
        endRecord(id, 'pruned', [...reports.values()].at(-1)),
      ];
    default:
      return [...attributeRecords(id, { reason: outcome.reason }), endRecord(id, 'failed')];
  }
}

export function waitFor(ms: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve, reject) => {
    const stop = () => {
      clearTimeout(timer);
      reject(signal?.reason ?? new FusedLoraError('ABORTED', 'stopped'));
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener('abort', stop);
      resolve();
    }, ms);
    signal?.addEventListener('abort', stop, { once: true });
  });
}
