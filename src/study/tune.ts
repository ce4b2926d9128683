/**
 * A whole study in one call: the search with its baselines, the best of each method again with
 * other seeds, and what the differences mean. Options are options.ts, trials phases.ts; everything
 * stands in the study's folder, from which it goes on after whatever stopped it.
 */
import * as fs from 'node:fs';
import * as path from 'node:path';
import { FusedLoraError } from '../base/errors';
import type { Task } from '../base/tasks';
import type { Example } from '../data/examples/example';
import { loadExamples } from '../data/read/load';
import { notWritable, writeFileAtomic } from '../io/atomic';
import { makeFolder } from '../io/folders';
import { readJsonObject } from '../io/json';
import { ADAPTER_CONFIG } from '../io/model_files';
import type { FineTuneTask } from '../task/options/fine_tune_options';
import { resolveFineTune } from '../task/options/resolve_fine_tune';
import { type Claim, Claims } from './claims';
import { Journal } from './journal/journal_file';
import { shownParams, studyRecord } from './journal/records';
import { withFrozenLayers } from './layers';
import { identityOf, mainMetric, type ResolvedStudy, resolveStudy, type TuneOptions } from './options';
import { isOver, type Phase, phasesOf, SEARCH } from './phases';
import { resultsOf, type StudyResults } from './results';
import { sample } from './search/sampler';
import { endsOf, type Value } from './space/distribution';
import { loadOptionsOf, loadStudyData, type StudyData, subsetOf } from './study_data';
import { writeStudyReport } from './study_report';
import { optionsOfTrial } from './trial_options';
import { type OnTrial, WAIT_MS, Worker, waitFor } from './worker';

/** Files of a study's folder; each run has a folder in `trials`, `repeats` or `sizes`. */
export const STUDY_FILES = {
  journal: 'journal.log',
  options: 'study.json',
  results: 'results.json',
  report: 'report.html',
} as const;

/**
 * Searches settings, baselines first, and says what they are worth. The folder holds the journal,
 * which Optuna reads (`JournalFileBackend`), the runs with other seeds, and results.json. A study
 * that was stopped goes on where it was; with one worker it ends in the same results.
 *
 * @throws FusedLoraError INVALID_ARGUMENT for options that are wrong, or that are not those that
 * the study was begun with; INVALID_DATA for other data than then; ABORTED by the signal; and what
 * `fineTune` throws for options, data and model.
 */
export async function tune(options: TuneOptions): Promise<StudyResults> {
  const resolved = resolveStudy(options);
  const { outputDir, onNotice } = resolved;
  refuseModelFolder(outputDir);
  const study = { ...resolved, arms: await withFrozenLayers(resolved) };
  const data = await loadStudyData(study);
  const metric = study.common.metricForBest ?? mainMetric(data.task);
  const maximize = study.common.greaterIsBetter ?? !/(^|[a-z])(loss|mse)$/i.test(metric);
  checkTrials(study, data, metric);
  try {
    makeFolder(outputDir);
  } catch (cause) {
    throw notWritable(outputDir, cause);
  }
  const journal = new Journal(path.join(outputDir, STUDY_FILES.journal));
  await settleIdentity(study, data, metric, maximize, journal, options);
  const worker = new Worker(study, data, metric, maximize, journal, tellTrial(metric, onNotice));
  const phases = phasesOf(study);
  for (const phase of phases) await worker.run(phase);
  return finish(study, data, metric, journal, phases);
}

/** @throws FusedLoraError INVALID_ARGUMENT: a study's report would be taken for that of the run. */
function refuseModelFolder(folder: string): void {
  const file = [ADAPTER_CONFIG, 'config.json'].find((name) => fs.existsSync(path.join(folder, name)));
  if (file === undefined) return;
  throw new FusedLoraError(
    'INVALID_ARGUMENT',
    `outputDir ${folder} has a model (${file}); a study needs a folder of its own. Choose another.`,
  );
}

/**
 * What is wrong with the options of runs is told before a study is begun: those of the first trial
 * of each method, and each parameter at the ends of its range and at each choice.
 */
function checkTrials(study: ResolvedStudy, data: StudyData, metric: string): void {
  const { seed, sampler, startup, common } = study;
  const [{ train, dev }] = data.parts as [StudyData['parts'][number]];
  for (const { method, space } of study.arms) {
    const given = new Map([['method', method]]);
    const chosen = sample({ space, given, index: 0, outcomes: [], maximize: true, seed, stream: 0, sampler, startup });
    const params = { method, ...Object.fromEntries(chosen.map(({ name, value }) => [name, value])) };
    const task = common.task ?? (data.task as FineTuneTask);
    const check = (given: Record<string, Value>) =>
      resolveFineTune({ ...optionsOfTrial(common, given), task, train, dev, metricForBest: metric }, 'tune');
    check({ method });
    for (const { name, distribution } of space) {
      for (const value of endsOf(distribution)) {
        try {
          check({ method, [name]: value });
        } catch (error) {
          if (!(error instanceof FusedLoraError)) throw error;
          const problem = `space: "${name}" can be ${JSON.stringify(value)}, of which a run says: ${error.message}`;
          throw new FusedLoraError(error.code, problem, { cause: error });
        }
      }
    }
    check(params);
  }
  for (const size of study.trainSizes) subsetOf(train, data.task, size, seed);
}

/** What of the options another worker needs: none of code, and no token. */
function recordedOptions(options: TuneOptions): Record<string, unknown> {
  const { token: _, cacheDir: __, signal: ___, onNotice: ____, keepFrozen, ...rest } = options;
  const others = { ...rest, ...(keepFrozen !== undefined && { keepFrozen: keepFrozen !== false }) };
  const isFiles = (value: unknown) =>
    typeof value === 'string' || (Array.isArray(value) && typeof value[0] === 'string');
  const entries = Object.entries(others).filter(
    ([name, value]) => !['train', 'dev', 'test'].includes(name) || isFiles(value),
  );
  return Object.fromEntries(entries);
}

/**
 * Begins the study, or sees that it is the one that was begun.
 *
 * @throws FusedLoraError INVALID_ARGUMENT naming what differs.
 */
async function settleIdentity(
  study: ResolvedStudy,
  data: StudyData,
  metric: string,
  maximize: boolean,
  journal: Journal,
  options: TuneOptions,
): Promise<void> {
  const identity = identityOf(study, metric, data.checksum);
  const file = path.join(study.outputDir, STUDY_FILES.options);
  await journal.change((state) => {
    if (!fs.existsSync(file)) {
      if (state.study(SEARCH)) {
        throw new FusedLoraError(
          'FILE_NOT_FOUND',
          `${file}: is missing, beside a journal that has begun; bring it back, or choose another folder`,
        );
      }
      const content = { version: 1, options: recordedOptions(options), identity };
      writeFileAtomic(file, `${JSON.stringify(content, null, 2)}\n`, { own: true });
    }
    const before = readJsonObject(file, 'to go on with the study', 'INVALID_DATA')['identity'] as Record<
      string,
      unknown
    >;
    const names = [...new Set([...Object.keys(before ?? {}), ...Object.keys(identity)])];
    const text = (value: unknown) => JSON.stringify(value);
    const differing = names.find((name) => text(before?.[name]) !== text(identity[name]));
    if (differing === undefined) {
      return state.study(SEARCH) ? [] : [studyRecord(SEARCH, maximize)];
    }
    if (differing === 'data') {
      throw new FusedLoraError(
        'INVALID_DATA',
        `train or dev are not what the study in ${study.outputDir} was begun with; bring them back, or choose another folder`,
      );
    }
    throw new FusedLoraError(
      'INVALID_ARGUMENT',
      `the study in ${study.outputDir} was begun with another ${differing}: ${text(before?.[differing])}, now ${text(identity[differing])}. Give the same, or choose another folder.`,
    );
  });
}

function tellTrial(metric: string, onNotice: (line: string) => void): OnTrial {
  return (phase, trial, of) => {
    const name = `${phase.folder} ${trial.number + 1}/${of}`;
    const { method = trial.slot?.arm, ...params } = shownParams(trial);
    if (!isOver(trial)) {
      const shown = Object.entries(params).map(
        ([key, value]) => `${key} ${typeof value === 'number' ? Number(value.toPrecision(4)) : value}`,
      );
      onNotice(`${name}: ${String(method)}${shown.length > 0 ? `, ${shown.join(', ')}` : ''}`);
      return;
    }
    const value = trial.value === undefined ? '' : ` ${metric} ${trial.value.toFixed(4)}`;
    onNotice(`${name}: ${trial.state === 'pruned' ? 'stopped' : trial.state}${value}`);
  };
}

/** Measures what is left to measure: one of the workers does, and the test split is read once. */
async function finish(
  study: ResolvedStudy,
  data: StudyData,
  metric: string,
  journal: Journal,
  phases: readonly Phase[],
): Promise<StudyResults> {
  const file = path.join(study.outputDir, STUDY_FILES.results);
  const claims = new Claims(study.outputDir);
  for (;;) {
    let claim: Claim | undefined;
    const state = await journal.change(() => {
      if (!fs.existsSync(file) && claims.isFree('results')) claim = claims.take('results');
      return [];
    });
    if (claim === undefined) {
      if (fs.existsSync(file)) {
        return readResults(file);
      }
      await waitFor(WAIT_MS, study.signal);
      continue;
    }
    using _claim: Claim = claim;
    const test = await testOf(study, data, data.task);
    if (test === undefined) {
      study.onNotice('there is no test split: figures are of dev, by which settings were chosen (test, testSplit)');
    }
    const results = await resultsOf(study, data, state, phases, metric, test);
    // Before the results, whose file says that nothing is left to do.
    writeStudyReport(path.join(study.outputDir, STUDY_FILES.report), state, results);
    writeFileAtomic(file, `${JSON.stringify(results, null, 2)}\n`, { own: true });
    return readResults(file);
  }
}

/** As they are in the file, so that the first worker gets what the others get. */
function readResults(file: string): StudyResults {
  return readJsonObject(file, 'as the results of the study', 'INVALID_DATA') as unknown as StudyResults;
}

async function testOf(study: ResolvedStudy, data: StudyData, task: Task): Promise<readonly Example[] | undefined> {
  if (study.test === undefined) return data.test;
  const { examples } = await loadExamples({ task, data: study.test, options: loadOptionsOf(study), name: 'test' });
  return examples;
}
