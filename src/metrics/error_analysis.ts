/**
 * What a model does on a dev set beyond its metrics: who is taken for whom, and which examples are
 * hardest. The log and the report show it (the line "details" of events.jsonl:
 * src/report/record.ts); metrics are in measure.ts.
 */
import type { TaskSettings } from '../base/tasks';
import { type Example, isTokenExample } from '../data/examples/example';
import { type EncodedExample, type EncodedSentence, IGNORE_LABEL } from '../data/tokenize/encoded_example';
import { confidences, decisionsOf, expectedCalibrationError, type ReliabilityBin, reliability } from './calibration';
import { areEntityTags } from './entities';
import type { Evaluation } from './evaluation';
import { confusionMatrix } from './metrics';
import { DEFAULT_THRESHOLD, logSoftmax, sigmoid } from './probabilities';
import { type Score, scoresByClass, scoresByEntityType, scoresByLabel } from './scores';

/** Examples that are listed, and the most characters of their texts. */
const HARDEST = 25;
const MOST_CHARACTERS = 600;
/** Classes of the largest confusion matrix; of more, the most frequent mistakes are listed. */
const MATRIX_CLASSES = 30;
const MISTAKES = 30;
/** Points of a regression that are kept. */
const POINTS = 2000;

/** An example of the dev set with a large loss. */
export interface HardExample {
  /** Number in the dev set, from 0, or where it stands: `dev.tsv:17`. */
  place: string;
  text: string;
  textPair?: string;
  label: string;
  prediction: string;
  /**
   * That the model gives to its prediction; of a sentence in words, the smallest among the wrong
   * ones; absent for regression.
   */
  probability?: number;
  loss: number;
}

/** What a model does on a dev set beyond its metrics. */
export interface ErrorAnalysis {
  labelNames: string[];
  /** What `scores` are of: classes, labels or entity types. */
  scoresOf?: 'class' | 'label' | 'entity type';
  scores?: Score[];
  /** [label][predicted] counts, of texts or words; absent for many classes. */
  confusion?: number[][];
  /** The most frequent mistakes, where there are too many classes for a matrix. */
  mistakes?: { label: string; predicted: string; count: number }[];
  /** [target, prediction] of a regression; a selection where there are many. */
  points?: [number, number][];
  /** How probabilities fit what came true, in bins; absent for regression. */
  calibration?: { ece: number; bins: ReliabilityBin[] };
  /** Those with the largest loss, largest first. */
  hardest: HardExample[];
}

type LogDistribution = ReturnType<typeof logSoftmax>;

/** What is said of each example, its text left out. */
type Judged = Pick<HardExample, 'label' | 'prediction' | 'probability' | 'loss'>;

/** Of {@link ErrorAnalysis.calibration}. */
function calibrationOf(
  model: TaskSettings,
  evaluation: Evaluation,
  encoded: readonly EncodedExample[],
): Pick<ErrorAnalysis, 'calibration'> {
  const { probabilities, outcomes } = confidences(decisionsOf(model, evaluation, encoded));
  if (probabilities.length === 0) return {};
  const bins = reliability(probabilities, outcomes);
  return { calibration: { ece: expectedCalibrationError(bins), bins } };
}

/**
 * Losses are each example's own, without label smoothing and class weights: −ln p(label); the mean
 * over labels or words; the squared error.
 *
 * @param encoded, examples in the order of the data set.
 */
export function analyzeErrors(
  model: TaskSettings,
  evaluation: Evaluation,
  encoded: readonly EncodedExample[],
  examples: readonly Example[],
): ErrorAnalysis {
  return { ...analysisOf(model, evaluation, encoded, examples), ...calibrationOf(model, evaluation, encoded) };
}

function analysisOf(
  model: TaskSettings,
  evaluation: Evaluation,
  encoded: readonly EncodedExample[],
  examples: readonly Example[],
): ErrorAnalysis {
  const { labelNames } = model;
  const hardest = (judged: readonly Judged[]) => hardestOf(judged, examples);
  switch (model.task) {
    case 'regression': {
      const targets = encoded.map(({ targets = [] }) => targets);
      const points = targets.flatMap((row, i) =>
        row.map((target, c): [number, number] => [target, evaluation.logits[i]?.[c] as number]),
      );
      const every = Math.max(1, Math.ceil(points.length / POINTS));
      return {
        labelNames,
        points: points.filter((_, i) => i % every === 0),
        hardest: hardest(targets.map((row, i) => judgeNumbers(row, evaluation.logits[i] as Float32Array))),
      };
    }
    case 'multi-label-classification': {
      const targets = encoded.map(({ targets = [] }) => targets);
      const probabilities = evaluation.logits.map((row) => sigmoid(row));
      const predicted = probabilities.map((row) => row.map((p) => (p > DEFAULT_THRESHOLD ? 1 : 0)));
      return {
        labelNames,
        scoresOf: 'label',
        scores: scoresByLabel(targets, predicted, labelNames),
        hardest: hardest(targets.map((row, i) => judgeLabels(row, probabilities[i] as number[], labelNames))),
      };
    }
    case 'token-classification':
      return analyzeWords(model, evaluation, encoded as readonly EncodedSentence[], examples, hardest);
    default: {
      const distributions = evaluation.logits.map(logSoftmax);
      const labels = encoded.map(({ label }) => label as number);
      const judged = labels.map((label, i) => judgeClass(label, distributions[i] as LogDistribution, labelNames));
      const matrix = confusionMatrix(
        labels,
        distributions.map(({ best }) => best),
        model.numLabels,
      );
      return {
        labelNames,
        ...confusions(matrix, labelNames),
        scoresOf: 'class',
        scores: scoresByClass(matrix, labelNames),
        hardest: hardest(judged),
      };
    }
  }
}

function analyzeWords(
  { labelNames, numLabels }: TaskSettings,
  { logits }: Evaluation,
  encoded: readonly EncodedSentence[],
  examples: readonly Example[],
  hardest: (judged: readonly Judged[]) => HardExample[],
): ErrorAnalysis {
  const name = (id: number) => labelNames[id] as string;
  const sentences = encoded.map(({ firstPieces, tokenLabels }, i) => {
    const example = examples[i] as Example;
    const tokens = isTokenExample(example) ? example.tokens : [];
    return [...firstPieces.keys()]
      .filter((word) => {
        const t = firstPieces[word] as number;
        return t >= 0 && tokenLabels?.[t] !== IGNORE_LABEL;
      })
      .map((word) => {
        const t = firstPieces[word] as number;
        const of = logSoftmax((logits[i] as Float32Array).subarray(t * numLabels, (t + 1) * numLabels));
        return { word: tokens[word] as string, label: tokenLabels?.[t] as number, ...of };
      });
  });
  const words = sentences.flat();
  const matrix = confusionMatrix(
    words.map(({ label }) => label),
    words.map(({ best }) => best),
    numLabels,
  );
  const judged = sentences.map((sentence): Judged => {
    const wrong = sentence.filter(({ label, best }) => label !== best);
    const list = (of: (word: (typeof wrong)[number]) => number) =>
      wrong.map((word) => `${word.word}: ${name(of(word))}`).join(', ') || 'all right';
    return {
      label: list(({ label }) => label),
      prediction: list(({ best }) => best),
      ...(wrong.length > 0 && {
        probability: Math.min(...wrong.map(({ best, log }) => Math.exp(log[best] as number))),
      }),
      loss: mean(sentence.map(({ label, log }) => -(log[label] as number))),
    };
  });
  const entities = areEntityTags(labelNames);
  const scores: Score[] = entities
    ? scoresByEntityType(
        sentences.map((sentence) => sentence.map(({ label }) => name(label))),
        sentences.map((sentence) => sentence.map(({ best }) => name(best))),
      )
    : scoresByClass(matrix, labelNames);
  return {
    labelNames,
    ...confusions(matrix, labelNames),
    scoresOf: entities ? 'entity type' : 'class',
    scores,
    hardest: hardest(judged),
  };
}

function confusions(matrix: number[][], names: readonly string[]): Pick<ErrorAnalysis, 'confusion' | 'mistakes'> {
  if (matrix.length <= MATRIX_CLASSES) return { confusion: matrix };
  const mistakes = matrix.flatMap((row, label) =>
    row.flatMap((count, predicted) =>
      label === predicted || count === 0
        ? []
        : [{ label: names[label] as string, predicted: names[predicted] as string, count }],
    ),
  );
  return { mistakes: mistakes.sort((a, b) => b.count - a.count).slice(0, MISTAKES) };
}

function judgeClass(label: number, { best, log }: LogDistribution, names: readonly string[]): Judged {
  return {
    label: names[label] as string,
    prediction: names[best] as string,
    probability: Math.exp(log[best] as number),
    loss: -(log[label] as number),
  };
}

function judgeLabels(target: readonly number[], probabilities: readonly number[], names: readonly string[]): Judged {
  const named = (chosen: (c: number) => boolean) => names.filter((_, c) => chosen(c)).join(', ') || 'none';
  // Of a wrong decision the probability that the model gives to it: p for a label too many, 1 − p
  // for one too few.
  const decided = probabilities.map((p) => Math.max(p, 1 - p));
  const wrong = decided.filter((_, c) => (probabilities[c] as number) > DEFAULT_THRESHOLD !== (target[c] === 1));
  return {
    label: named((c) => target[c] === 1),
    prediction: named((c) => (probabilities[c] as number) > DEFAULT_THRESHOLD),
    probability: wrong.length > 0 ? Math.max(...wrong) : Math.min(...decided),
    loss: mean(probabilities.map((p, c) => -Math.log(Math.max(target[c] === 1 ? p : 1 - p, Number.MIN_VALUE)))),
  };
}

function judgeNumbers(target: readonly number[], values: Float32Array): Judged {
  const list = (numbers: Iterable<number>) => [...numbers].map((x) => Number(x.toPrecision(6))).join(', ');
  return {
    label: list(target),
    prediction: list(values),
    loss: mean(target.map((x, c) => (x - (values[c] as number)) ** 2)),
  };
}

function mean(values: readonly number[]): number {
  return values.length === 0 ? 0 : values.reduce((sum, x) => sum + x, 0) / values.length;
}

function hardestOf(judged: readonly Judged[], examples: readonly Example[]): HardExample[] {
  const order = [...judged.keys()].sort((a, b) => (judged[b]?.loss as number) - (judged[a]?.loss as number) || a - b);
  return order.slice(0, HARDEST).map((i) => {
    const example = examples[i] as Example;
    const text = isTokenExample(example) ? example.tokens.join(' ') : example.text;
    const textPair = isTokenExample(example) ? undefined : example.textPair;
    return {
      place: example.place ?? String(i),
      text: shortened(text),
      ...(textPair !== undefined && { textPair: shortened(textPair) }),
      ...(judged[i] as Judged),
    };
  });
}

function shortened(text: string): string {
  const characters = [...text.slice(0, 2 * MOST_CHARACTERS)];
  return characters.length > MOST_CHARACTERS ? `${characters.slice(0, MOST_CHARACTERS).join('')}…` : text;
}
