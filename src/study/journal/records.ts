/**
 * What the lines of a study's journal say, replayed: studies and trials with their parameters,
 * reports and ends. The form is Optuna's JournalFileBackend (5.0.0): an op code a line, ids counted
 * by order. Files, locks and appending are journal_file.ts.
 */
import { FusedLoraError } from '../../base/errors';
import { isJsonObject, type JsonObject } from '../../io/json';
import { type Distribution, distributionText, shownValue, type Value } from '../space/distribution';

/** Optuna's JournalOperation, those that are written here. */
export const OP = { study: 0, studyAttribute: 2, trial: 4, parameter: 5, state: 6, report: 7, attribute: 8 } as const;
/** Of Optuna's others, none changes what is read here: attributes of the system, for one. */
const MOST_OP = 9;
const OP_DELETE_STUDY = 1;

/** Optuna's TrialState, by number. */
export const STATES = ['running', 'complete', 'pruned', 'failed', 'waiting'] as const;
export type TrialState = (typeof STATES)[number];

/** Which trial of ours it is; a field of op 4 that Optuna passes over. */
export interface Slot {
  /** The method, as the space names it. */
  arm: string;
  /** Number within the arm, from 0. */
  index: number;
  /** Every parameter that counts, whatever lines follow. */
  params: readonly { name: string; distribution: Distribution; internal: number }[];
}

export interface TrialRecord {
  /** Counted through the file. */
  id: number;
  /** Counted within the study. */
  number: number;
  state: TrialState;
  /** Absent of trials that others added. */
  slot: Slot | undefined;
  /** Internal values by name. */
  params: Map<string, number>;
  /** Value by evaluation, from 1. */
  reports: Map<number, number>;
  attributes: Record<string, unknown>;
  value: number | undefined;
  started: string | undefined;
  ended: string | undefined;
}

export interface StudyRecord {
  id: number;
  name: string;
  maximize: boolean;
  attributes: Record<string, unknown>;
  trials: TrialRecord[];
}

/** Everything that a journal says. */
export class JournalState {
  readonly studies: StudyRecord[] = [];
  readonly trials: TrialRecord[] = [];

  /** The study of a name; the first one counts, as in Optuna. */
  study(name: string): StudyRecord | undefined {
    return this.studies.find((one) => one.name === name);
  }

  /**
   * @param place for errors: file and line.
   * @throws FusedLoraError INVALID_DATA.
   */
  apply(record: unknown, place: string): void {
    const wrong = (problem: string) => new FusedLoraError('INVALID_DATA', `${place}: ${problem}`);
    if (!isJsonObject(record)) throw wrong('is no object, as every line of a journal is');
    const { op_code: op } = record;
    if (!Number.isSafeInteger(op) || (op as number) < 0 || (op as number) > MOST_OP) {
      throw wrong(`has the op_code ${JSON.stringify(op)}, which Optuna 5.0.0 does not have`);
    }
    if (op === OP_DELETE_STUDY) throw wrong('deletes a study; ids after it are not counted here');
    const trialOf = () => this.trials[record['trial_id'] as number];
    switch (op) {
      case OP.study:
        this.addStudy(record, wrong);
        break;
      case OP.studyAttribute:
        Object.assign(this.studies[record['study_id'] as number]?.attributes ?? {}, record['user_attr']);
        break;
      case OP.trial:
        this.addTrial(record, wrong);
        break;
      case OP.parameter:
        trialOf()?.params.set(String(record['param_name']), Number(record['param_value_internal']));
        break;
      case OP.report:
        trialOf()?.reports.set(Number(record['step']), numberOf(record['intermediate_value']));
        break;
      case OP.attribute:
        Object.assign(trialOf()?.attributes ?? {}, record['user_attr']);
        break;
      case OP.state:
        endTrial(trialOf(), record);
        break;
    }
  }

  private addStudy({ study_name: name, directions }: JsonObject, wrong: (problem: string) => Error): void {
    if (typeof name !== 'string' || !Array.isArray(directions)) throw wrong('makes a study without name or directions');
    // Optuna counts no second study of a name.
    if (this.study(name)) return;
    const maximize = directions[0] === 2;
    this.studies.push({ id: this.studies.length, name, maximize, attributes: {}, trials: [] });
  }

  private addTrial(record: JsonObject, wrong: (problem: string) => Error): void {
    const study = this.studies[record['study_id'] as number];
    if (study === undefined)
      throw wrong(`makes a trial of study ${JSON.stringify(record['study_id'])}, which is not there`);
    const trial: TrialRecord = {
      id: this.trials.length,
      number: study.trials.length,
      state: STATES[(record['state'] as number | undefined) ?? 0] ?? 'running',
      slot: isJsonObject(record['slot']) ? (record['slot'] as unknown as Slot) : undefined,
      params: new Map(),
      reports: new Map(),
      attributes: isJsonObject(record['user_attrs']) ? { ...record['user_attrs'] } : {},
      value: undefined,
      started: record['datetime_start'] as string | undefined,
      ended: undefined,
    };
    this.trials.push(trial);
    study.trials.push(trial);
  }
}

/** What ended stays as it is, as in Optuna. */
function endTrial(trial: TrialRecord | undefined, record: JsonObject): void {
  if (trial === undefined || ['complete', 'pruned', 'failed'].includes(trial.state)) return;
  trial.state = STATES[record['state'] as number] ?? trial.state;
  const [value] = Array.isArray(record['values']) ? (record['values'] as unknown[]) : [];
  if (value !== undefined && value !== null) trial.value = numberOf(value);
  trial.ended = (record['datetime_complete'] as string | undefined) ?? trial.ended;
}

const numberOf = (value: unknown) => (typeof value === 'number' ? value : Number.NaN);

/** UTC with microseconds, as Optuna writes times. */
export const timeNow = () => new Date().toISOString().replace('Z', '000+00:00');

/** Lines of a new study. */
export function studyRecord(name: string, maximize: boolean): JsonObject {
  return { op_code: OP.study, study_name: name, directions: [maximize ? 2 : 1] };
}

/** Lines of a new trial: what it is first, so that a cut leaves nothing that is not known. */
export function trialRecords(study: number, id: number, slot: Slot): JsonObject[] {
  const made = { op_code: OP.trial, study_id: study, datetime_start: timeNow(), slot };
  return [made, ...parameterRecords(id, slot)];
}

/** Lines of a trial's parameters. */
export function parameterRecords(id: number, { arm, params }: Slot): JsonObject[] {
  const method: Distribution = { kind: 'categorical', choices: [arm] };
  return [
    ...attributeRecords(id, { arm }),
    ...params.map(({ name, distribution, internal }) => ({
      op_code: OP.parameter,
      trial_id: id,
      param_name: name,
      param_value_internal: internal,
      distribution: distributionText(distribution ?? method),
    })),
  ];
}

/** The line that ends a trial. Of one that failed Optuna has no value. */
export function endRecord(id: number, state: Exclude<TrialState, 'running' | 'waiting'>, value?: number): JsonObject {
  return {
    op_code: OP.state,
    trial_id: id,
    state: STATES.indexOf(state),
    values: value === undefined ? null : [value],
    datetime_complete: timeNow(),
  };
}

export function reportRecord(id: number, step: number, value: number): JsonObject {
  return { op_code: OP.report, trial_id: id, step, intermediate_value: value };
}

/** One attribute a line, which Optuna asks for. */
export function attributeRecords(id: number, attributes: Readonly<Record<string, unknown>>): JsonObject[] {
  return Object.entries(attributes).map(([name, value]) => ({
    op_code: OP.attribute,
    trial_id: id,
    user_attr: { [name]: value },
  }));
}

/** The parameters of a trial by name, as values. */
export function paramsOf({ slot }: TrialRecord): Record<string, Value> {
  return Object.fromEntries(
    (slot?.params ?? []).map(({ name, distribution, internal }) => [
      name,
      distribution.kind === 'categorical' ? (distribution.choices[internal] as Value) : internal,
    ]),
  );
}

/** The same for tables and pages. */
export const shownParams = (trial: TrialRecord) =>
  Object.fromEntries(Object.entries(paramsOf(trial)).map(([name, value]) => [name, shownValue(value)]));
