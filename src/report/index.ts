/**
 * What other rooms call: a report of one training run, or of several compared, written to a file.
 * An event log is read by record.ts, the page made by page.ts.
 */
import { writeFileAtomic } from '../io/atomic';
import { renderReport } from './page';
import { readRecord } from './record';

export type { ErrorAnalysis, HardExample } from '../metrics/error_analysis';
export { renderReport } from './page';
export {
  type DataFacts,
  type DetailsEvent,
  type EndEvent,
  LOG_VERSION,
  type MachineFacts,
  type MeaningFacts,
  type RunRecord,
  readRecord,
  type StartEvent,
  type StopEvent,
} from './record';

/**
 * Writes the report of one run, or of several compared, as one HTML file.
 *
 * @param runs output folders of training runs, or their event logs.
 * @throws FusedLoraError FILE_NOT_FOUND and INVALID_DATA naming the run; FILE_NOT_WRITABLE.
 */
export function writeReport(runs: readonly string[], file: string): void {
  writeFileAtomic(file, renderReport(runs.map(readRecord)));
}
export { type IntrinsicFacts, type IntrinsicModelFacts, renderIntrinsic } from './intrinsic_page';
export { renderStudy } from './study_page';
export type { StudyMethodFacts, StudyRecordFacts, StudySpread, StudyTrial } from './study_record';
