/**
 * From a study's journal and results to the page about it, report.html in its folder. What the page
 * shows is src/report/study_page.ts; results are results.ts.
 */
import * as path from 'node:path';
import { writeFileAtomic } from '../io/atomic';
import { renderStudy, type StudyRecordFacts } from '../report';
import type { JournalState } from './journal/records';
import { shownParams } from './journal/records';
import { ownTrials, SEARCH } from './phases';
import type { StudyResults } from './results';

/** Everything that the page shows. */
export function studyFacts(name: string, state: JournalState, results: StudyResults): StudyRecordFacts {
  const { examples, ...others } = results;
  const trials = ownTrials(state.study(SEARCH)).map((trial) => ({
    number: trial.number,
    method: trial.slot?.arm ?? '',
    state: trial.state,
    value: trial.state === 'complete' ? trial.value : undefined,
    params: shownParams(trial),
    reports: [...trial.reports],
    started: trial.started,
    ended: trial.ended,
  }));
  return { name, ...others, examples, trials };
}

/** @throws FusedLoraError FILE_NOT_WRITABLE. */
export function writeStudyReport(file: string, state: JournalState, results: StudyResults): void {
  const name = path.basename(path.dirname(path.resolve(file)));
  writeFileAtomic(file, renderStudy(studyFacts(name, state, results)), { own: true });
}
