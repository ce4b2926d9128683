/**
 * What a model means, decided in one place: for training, measuring, predicting, merging and plans
 * alike. Pure: facts in (facts.ts), decisions or an error out, each a row of docs/meaning.md. Task
 * and labels have files of their own beside this one.
 */
import { FusedLoraError } from '../../base/errors';
import { DEFAULT_THRESHOLD } from '../../metrics/probabilities';
import { decide, says } from './decide';
import { decideLabels } from './decide_labels';
import { decideTask, trainedHead } from './decide_task';
import type {
  AdapterFacts,
  BaseFacts,
  Decided,
  LabelFacts,
  Meaning,
  MeaningOptions,
  Purpose,
  Statement,
  TokenizerFacts,
} from './types';

/** Fewest tokens of a text: two special ones and one of the text. */
const LEAST_LENGTH = 3;

function lengthOf(
  base: BaseFacts,
  adapter: AdapterFacts | undefined,
  tokenizer: TokenizerFacts | undefined,
  options: MeaningOptions,
): Decided<number> {
  const { positions } = base;
  const own = tokenizer?.maxLength;
  const decided = decide(
    says(options.maxLength, 'option', '--max-length'),
    says(adapter?.record?.maxLength, 'adapter record', adapter?.recordFile ?? ''),
    says(base.record?.maxLength, 'base record', base.recordFile),
    own !== undefined && own >= LEAST_LENGTH && own < positions
      ? says(own, 'tokenizer', `${tokenizer?.folder}: model_max_length`)
      : undefined,
    says(positions, 'default', `positions of ${base.configFile}`),
  );
  const { value } = decided;
  if (Number.isSafeInteger(value) && value >= LEAST_LENGTH && value <= positions) {
    // The tokenizer's is the default of a shorter choice, and nothing against it.
    return { ...decided, overridden: decided.overridden.filter(({ source }) => source !== 'tokenizer') };
  }
  const said = decided.source === 'option' ? '' : ` (${decided.place})`;
  throw new FusedLoraError(
    'INVALID_ARGUMENT',
    `maxLength is ${value}${said}; it must be a whole number from ${LEAST_LENGTH} to ${positions}, the positions that the model has`,
  );
}

/**
 * Decides what a model means.
 *
 * @param data undefined: nothing is read (predict, merge), or labels are not needed.
 * @param task what `decideTask` found, where the data had a say in it.
 * @throws FusedLoraError INVALID_ARGUMENT or INVALID_DATA where two sources can not both be right,
 * naming both and the option that settles it.
 */
export function resolveMeaning(
  base: BaseFacts,
  adapter: AdapterFacts | undefined,
  tokenizer: (Statement<TokenizerFacts> & Pick<Decided<string>, 'overridden'>) | undefined,
  data: LabelFacts | undefined,
  options: MeaningOptions,
  purpose: Purpose,
  task: Decided<Meaning['task']['value']> = decideTask(base, adapter, options, purpose),
): Meaning {
  const { numLabels, labelNames, notes } = decideLabels({ base, adapter, options, data, purpose }, task.value);
  const records = <K extends 'truncationSide' | 'threshold' | 'pairs'>(name: K) =>
    [
      says(adapter?.record?.[name], 'adapter record', adapter?.recordFile ?? ''),
      says(base.record?.[name], 'base record', base.recordFile),
    ] as (Statement<NonNullable<NonNullable<AdapterFacts['record']>[K]>> | undefined)[];
  const pairs = [says(data?.pairs, 'data', 'the data'), ...records('pairs')].filter((one) => one !== undefined);
  return {
    task,
    numLabels,
    labelNames,
    threshold: decide(
      says(options.threshold, 'option', '--threshold'),
      ...records('threshold'),
      says(DEFAULT_THRESHOLD, 'default', 'the default'),
    ),
    pairs: pairs.length > 0 ? decide(...pairs) : undefined,
    maxLength: lengthOf(base, adapter, tokenizer?.value, options),
    truncationSide: decide(
      says(options.truncationSide, 'option', '--truncation-side'),
      ...records('truncationSide'),
      says(tokenizer?.value.truncationSide, 'tokenizer', tokenizer?.value.folder ?? ''),
      says('right', 'default', 'the default'),
    ),
    tokenizer: tokenizer && { ...tokenizer, value: tokenizer.value.folder },
    leavesHeadOut: trainedHead(base, task.value).otherKind && adapter?.numLabels === undefined,
    notes,
  };
}
