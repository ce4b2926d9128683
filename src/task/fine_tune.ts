/**
 * Fine-tuning in one call: one run, or several at once on one frozen base.
 * A run itself is fine_tune_run.ts; how steps of several are shared is src/train/shared_steps.ts.
 */
import * as path from 'node:path';
import { FusedLoraError } from '../base/errors';
import { type Seat, SharedSteps } from '../train/shared_steps';
import { type FineTuneResult, runFineTune } from './fine_tune_run';
import type { FineTuneOptions } from './options/fine_tune_options';
import { SharedBase } from './shared_base';

export type { FineTuneResult } from './fine_tune_run';
export type { FineTuneOptions, FineTuneTask } from './options/fine_tune_options';

/**
 * Fine-tunes an encoder on labelled texts, or sentences in words with a label each, and writes a
 * PEFT adapter folder (lora, head) or a Hugging Face model folder.
 *
 * Defaults beside those of the trainer: batchSize 32, epochs 3, warmupRatio 0.06, weightDecay 0.01,
 * seed 0 (of initial values, order and dropout). Task, labels and length: see docs/meaning.md.
 *
 * @throws FusedLoraError INVALID_ARGUMENT, INVALID_LORA for options, before anything is read;
 * INVALID_DATA for an unknown label, naming the row; FILE_NOT_WRITABLE before anything is computed;
 * NON_FINITE_LOSS; ABORTED after a checkpoint; and what loading and wrapping throw.
 */
export async function fineTune(options: FineTuneOptions): Promise<FineTuneResult>;
/**
 * Several runs at once, each with its own options and output folder. Each ends with the same bytes
 * as alone. Steps on the same batch run together: runs on the same texts with the same seed and
 * batch size, whatever their labels, tasks, rates, ranks and modules are. What their models have in
 * common then runs once: the base below the first layer that one of them changes. Small batches of
 * other texts are taken in mixed steps, which read each frozen weight once for all of them; all
 * else takes turns. See docs/adapters.md.
 *
 * @throws FusedLoraError as for one run, with the number of the run that failed; the others are
 * stopped then, after a checkpoint.
 */
export async function fineTune(runs: readonly FineTuneOptions[]): Promise<FineTuneResult[]>;
export async function fineTune(
  options: FineTuneOptions | readonly FineTuneOptions[],
): Promise<FineTuneResult | FineTuneResult[]> {
  return isList(options) ? await fineTuneTogether(options) : await runFineTune(options);
}

const isList = (options: FineTuneOptions | readonly FineTuneOptions[]): options is readonly FineTuneOptions[] =>
  Array.isArray(options);

async function fineTuneTogether(runs: readonly FineTuneOptions[]): Promise<FineTuneResult[]> {
  checkFolders(runs);
  const { seats } = new SharedSteps(runs.length);
  const base = new SharedBase();
  const stop = new AbortController();
  let failure: unknown;
  const results = await Promise.all(
    runs.map(async (options, i) => {
      const seat = seats[i]!;
      const signal = options.signal ? AbortSignal.any([options.signal, stop.signal]) : stop.signal;
      try {
        const result = await runFineTune({ ...options, signal }, { seat, base });
        options.onNotice?.(describeSteps(seat));
        return result;
      } catch (error) {
        failure ??= numbered(error, i, options);
        stop.abort(error);
        return undefined;
      } finally {
        seat.leave();
      }
    }),
  );
  if (failure === undefined) return results as FineTuneResult[];
  for (const result of results) result?.textModel.model.dispose();
  throw failure;
}

/** How the steps of a run were taken. */
function describeSteps({ sharedBatches, mixedBatches }: Seat): string {
  const parts = [
    ...(sharedBatches > 0 ? [`${sharedBatches} batches ran once for several runs, which have the same`] : []),
    ...(mixedBatches > 0 ? [`${mixedBatches} batches ran in mixed steps with other batches`] : []),
  ];
  if (parts.length > 0) return `together with other runs: ${parts.join('; ')}`;
  return 'no batch ran together with one of another run: they take turns where batches are large and not the same, and where device, precision or base differ';
}

/** @throws FusedLoraError INVALID_ARGUMENT for no runs, and two that write to the same folder. */
function checkFolders(runs: readonly FineTuneOptions[]): void {
  const wrong = (problem: string) => new FusedLoraError('INVALID_ARGUMENT', `fineTune: ${problem}`);
  if (runs.length === 0) throw wrong('the list has no runs');
  const none = runs.findIndex((run) => typeof run !== 'object' || run === null);
  if (none >= 0) throw wrong(`run ${none} is ${runs[none]}; each must be an object of options`);
  const ranked = runs.findIndex((run) => run.distributed !== undefined && run.distributed !== 'none');
  if (ranked >= 0)
    throw wrong(`run ${ranked} is distributed, which one run by itself can be: leave it out, or run one`);
  const folders = runs.map((run) => (typeof run?.outputDir === 'string' ? path.resolve(run.outputDir) : undefined));
  const twice = folders.findIndex((folder, i) => folder !== undefined && folders.indexOf(folder) < i);
  if (twice >= 0) throw wrong(`runs ${folders.indexOf(folders[twice])} and ${twice} both write to ${folders[twice]}`);
}

function numbered(error: unknown, i: number, { outputDir }: FineTuneOptions): unknown {
  if (!(error instanceof FusedLoraError)) return error;
  return new FusedLoraError(
    error.code,
    `run ${i}${typeof outputDir === 'string' ? ` (${outputDir})` : ''}: ${error.message}`,
    { cause: error },
  );
}
