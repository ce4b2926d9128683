/**
 * The layout of a batch: sequences end to end with their positions and labels, no padding between
 * them. Which examples meet in a batch is decided in batch_plan.ts; what the tensors are is said at
 * `Batch` in batch.ts.
 */
import { FusedLoraError } from '../../base/errors';
import { type EncodedExample, IGNORE_LABEL } from '../tokenize/encoded_example';
import type { Batch } from './batch';

/** Where positions start, and how many the model has. */
export interface PositionRule {
  /** Position of the first token: padId + 1 (that is 2) for RoBERTa, 0 for BERT. */
  offset: number;
  /** Rows of the model's position table (`max_position_embeddings`); default unlimited. */
  maxPositions?: number;
}

const KINDS = ['label', 'targets', 'tokenLabels', 'masked'] as const;

/** The kind of label that all examples of the batch have; undefined where none has one. */
function labelKind(examples: EncodedExample[], indices: Int32Array): (typeof KINDS)[number] | undefined {
  const kindOf = (example: EncodedExample) => KINDS.find((kind) => example[kind] !== undefined);
  const kind = examples[0] && kindOf(examples[0]);
  const other = examples.findIndex((example) => kindOf(example) !== kind);
  if (other >= 0) {
    throw new FusedLoraError(
      'INVALID_ARGUMENT',
      `examples ${indices[0]} and ${indices[other]} can not share a batch: one has ${kind ?? 'no label'}, ` +
        `the other ${kindOf(examples[other]!) ?? 'no label'}. Give all examples of a data set the same kind of label.`,
    );
  }
  return kind;
}

function concat(parts: readonly ArrayLike<number>[]): Int32Array {
  const out = new Int32Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}

/** The tensors that a loss reads, beside the outputs. */
interface LabelTensors {
  labels?: Int32Array;
  targets?: Float32Array;
  rowIndex?: Int32Array;
}

function packLabels(examples: EncodedExample[], indices: Int32Array, firstToken: Int32Array): LabelTensors {
  switch (labelKind(examples, indices)) {
    case 'label':
      return { labels: Int32Array.from(examples, (example) => example.label!) };
    case 'targets': {
      const numOutputs = examples[0]!.targets!.length;
      const other = examples.findIndex((example) => example.targets!.length !== numOutputs);
      if (other >= 0) {
        throw new FusedLoraError(
          'INVALID_ARGUMENT',
          `example ${indices[other]} has ${examples[other]!.targets!.length} targets, example ${indices[0]} has ${numOutputs}.`,
        );
      }
      return { targets: Float32Array.from(examples.flatMap((example) => [...example.targets!])) };
    }
    case 'tokenLabels': {
      const other = examples.findIndex((example) => example.tokenLabels!.length !== example.inputIds.length);
      if (other >= 0) {
        const { tokenLabels, inputIds } = examples[other]!;
        throw new FusedLoraError(
          'INVALID_ARGUMENT',
          `example ${indices[other]} has ${tokenLabels!.length} token labels for ${inputIds.length} tokens.`,
        );
      }
      return { labels: concat(examples.map((example) => example.tokenLabels!)) };
    }
    case 'masked':
      return {
        labels: concat(examples.map((example) => example.masked!.labels)),
        rowIndex: concat(examples.map(({ masked }, s) => masked!.positions.map((p) => firstToken[s]! + p))),
      };
    case undefined:
      return {};
  }
}

/** Rows whose label counts: with none of them the mean would be 0 / 0. */
function lossRowsOf({ labels, targets }: LabelTensors, numSequences: number): number {
  if (targets) return numSequences;
  return labels?.reduce((rows, label) => (label === IGNORE_LABEL ? rows : rows + 1), 0) ?? 0;
}

/**
 * Lays the chosen examples end to end, as a `Program` takes them.
 *
 * @param encoded all examples.
 * @param indices which of them, as `planBatches` gives them.
 * @throws FusedLoraError INVALID_ARGUMENT for an index out of range, an empty example, mixed kinds
 * of labels, or a sequence with more tokens than the model has positions.
 */
export function packBatch(encoded: readonly EncodedExample[], indices: Int32Array, positions: PositionRule): Batch {
  const most = (positions.maxPositions ?? Number.POSITIVE_INFINITY) - positions.offset;
  const examples = Array.from(indices, (index) => {
    const example = encoded[index];
    const length = example?.inputIds.length ?? 0;
    if (!example || length === 0 || example.tokenTypeIds.length !== length) {
      throw new FusedLoraError(
        'INVALID_ARGUMENT',
        `example ${index} is missing, empty or lacks token types (${encoded.length} examples).`,
      );
    }
    if (length > most) {
      throw new FusedLoraError(
        'INVALID_ARGUMENT',
        `example ${index} has ${length} tokens, but the model has positions for ${most}: lower maxLength to ${most}.`,
      );
    }
    return example;
  });
  const numSequences = examples.length;
  const cuSeqlens = new Int32Array(numSequences + 1);
  examples.forEach((example, s) => {
    cuSeqlens[s + 1] = cuSeqlens[s]! + example.inputIds.length;
  });
  const numTokens = cuSeqlens[numSequences]!;
  const positionIds = new Int32Array(numTokens);
  for (let s = 0; s < numSequences; s++) {
    const first = cuSeqlens[s]!;
    for (let t = first; t < cuSeqlens[s + 1]!; t++) positionIds[t] = positions.offset + t - first;
  }
  const firstToken = cuSeqlens.slice(0, numSequences);
  const labels = packLabels(examples, indices, firstToken);
  return {
    tensors: {
      inputIds: concat(examples.map((example) => example.inputIds)),
      positionIds,
      tokenTypeIds: concat(examples.map((example) => example.tokenTypeIds)),
      cuSeqlens,
      firstToken,
      ...labels,
    },
    sizes: { T: numTokens, S: numSequences, M: labels.rowIndex?.length ?? 0 },
    exampleIndices: Int32Array.from(indices),
    lossRows: lossRowsOf(labels, numSequences),
  };
}
