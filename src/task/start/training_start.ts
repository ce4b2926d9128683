/**
 * What training starts from, before it is opened: an interface with one file for each kind beside
 * this one. Who asks it in which order: open_for_training.ts, and for plans plan_training.ts.
 */
import type { Task } from '../../base/tasks';
import type { Example } from '../../data/examples/example';
import type { LabelsOfData } from '../../data/read/training_data';
import type { Tokenizer } from '../../data/tokenize/tokenizer';
import type { Decided, Statement } from '../meaning/types';
import type { TextModel } from '../text_model';

/** A model that can be planned with: of a config.json alone there may be no tokenizer. */
export type StartedModel = Pick<TextModel, 'model' | 'maxLength' | 'truncationSide' | 'meaning' | 'report'> & {
  tokenizer?: Tokenizer;
};

/** @template M the model that it opens as. */
export interface TrainingStart<M extends StartedModel> {
  /** How many labels it has names for already, whatever the data say; else undefined. */
  readonly named: number | undefined;
  /**
   * The task, as far as it is known before data are read.
   *
   * @param shown what data show by their form.
   */
  taskBefore(shown: Statement<Task> | undefined): Decided<Task>;
  /**
   * The task with what labels of examples show: where nobody told one, and that they are measured
   * where somebody says otherwise.
   *
   * @param before what `taskBefore` gave.
   */
  taskBy(examples: readonly Example[], before: Decided<Task>): Decided<Task>;
  /** @throws FusedLoraError what opening throws, and where data contradict it. */
  opened(labels: LabelsOfData | undefined, task: Decided<Task>): M;
}
