/**
 * `fused-lora predict`: labels and probabilities as JSON lines, in the order of the input.
 * Input is read in predict_input.ts, lines are written in predict_output.ts.
 */
import { Command } from 'commander';
import { FusedLoraError } from '../base/errors';
import { compact } from '../base/options';
import { printableJson } from '../base/printable';
import type { Task } from '../base/tasks';
import { type Example, isTokenExample } from '../data/examples/example';
import type { ColumnOptions } from '../data/read/columns';
import { streamFile } from '../data/read/load';
import type { BaseWeights, EmbeddingWeights } from '../graph/base_weights';
import { chooseDevice, type DeviceOption } from '../graph/device';
import type { PrecisionOption } from '../graph/precision';
import { checkedThreshold } from '../metrics/probabilities';
import { Classifier } from '../task/classify';
import { addModelOptions, checkThresholdUse, type ModelOptions, openModelWith } from './model';
import { addExamples, choice, type OutputOptions, thresholdOption } from './options';
import { exampleLines, inPieces, type LineFormat, linePieces, openText } from './predict_input';
import { openOutput } from './predict_output';
import { action, type CommandContext } from './run';
import { addGroup, addOutputOptions, addRows, columnsOf, rowsOf } from './table_options';

interface PredictOptions
  extends Omit<ModelOptions, 'adapter'>,
    ColumnOptions,
    Pick<OutputOptions, 'quiet' | 'verbose'> {
  adapter?: string[];
  file?: string[];
  format: LineFormat;
  output?: string;
  threshold?: number;
  calibrated?: boolean;
  device?: DeviceOption;
  precision?: PrecisionOption;
  baseWeights?: BaseWeights;
  embeddingWeights?: EmbeddingWeights;
}

export function predictCommand(): Command {
  const command = new Command('predict')
    .description(
      'classify texts: given as arguments, in files, or one a line on standard input; a JSON object a text, in their order',
    )
    .argument('[texts...]', 'texts to classify')
    .optionsGroup('Input and output:')
    .option('--file <files...>', '.csv, .tsv, .jsonl or .parquet (also .gz) with texts, or .txt with one a line')
    .addOption(
      choice('--format <name>', 'of standard input: a text a line, or {"text": "…"}', ['text', 'jsonl']).default(
        'text',
      ),
    )
    .option('--output <file>', 'write the JSON lines there (default: standard output)')
    .addOption(thresholdOption())
    .option('--calibrated', 'use the temperature and thresholds that fused-lora calibrate has fitted');
  addRows(addGroup(addModelOptions(command, true), 'Device'), rowsOf(['baseWeights', 'embeddingWeights']));
  addGroup(command, 'Columns of the data');
  addOutputOptions(command, { figures: false });
  addExamples(command, [
    'fused-lora predict --adapter my-adapter/ "what a lovely film" "far too long"',
    'fused-lora predict --adapter my-adapter/ --file reviews.tsv --output predictions.jsonl',
    'fused-lora predict --adapter intent/ --adapter toxic/ --file messages.txt',
    'tail -f reviews.log | fused-lora predict --adapter my-adapter/ | jq .label',
  ]);
  return command.action(
    action(async (context, texts: string[], options: PredictOptions) => {
      if (texts.length > 0 && options.file !== undefined) {
        throw new FusedLoraError('INVALID_ARGUMENT', 'give texts as arguments or --file, not both');
      }
      const { threshold, device, precision, baseWeights, embeddingWeights, calibrated: calibration } = options;
      // What the options alone show to be wrong is told before the model is read.
      checkedThreshold(threshold);
      chooseDevice(device);
      const { textModel, names } = await openModelWith(options, context);
      const output = openOutput(options.output);
      try {
        checkThresholdUse(threshold, textModel, names);
        using classifier = new Classifier(
          textModel,
          compact({ device, precision, baseWeights, embeddingWeights, threshold, calibration, onNotice: context.say }),
        );
        let count = 0;
        for await (const piece of inputOf(texts, options, textModel.model.task, context)) {
          count += piece.length;
          const predictions = names
            ? (await classifier.predictEach(piece, names, context.signal)).map((by) => ({ predictions: by }))
            : await classifier.predict(piece, context.signal);
          const lines = predictions.map(
            (prediction, i) => `${printableJson({ ...inputIn(piece[i] as Example), ...prediction })}\n`,
          );
          await output.write(lines.join(''));
        }
        output.finish();
        if (classifier.numberEmpty > 1) context.say(`${classifier.numberEmpty} of ${count} texts were empty`);
        if (count === 0) context.say('standard input: has no text');
        if (classifier.numberCut > 0) context.say(`${classifier.numberCut} of ${count} texts were cut`);
      } catch (error) {
        output.discard();
        throw error;
      } finally {
        textModel.model.dispose();
      }
    }),
  );
}

/** What of the input stands in a line of output; the words of a sentence are in its prediction. */
function inputIn(example: Example): object {
  if (isTokenExample(example)) return {};
  const { text, textPair } = example;
  return { text, ...(textPair !== undefined && { textPair }) };
}

/** The examples in pieces that are predicted together. */
async function* inputOf(
  texts: string[],
  options: PredictOptions,
  task: Task,
  { signal, say }: CommandContext,
): AsyncGenerator<Example[]> {
  if (texts.length > 0) yield texts.map((text) => ({ text }));
  else if (options.file === undefined) {
    if (process.stdin.isTTY) say('reading texts, one a line; Ctrl-D ends');
    const pieces = linePieces(process.stdin, 'standard input', signal);
    yield* exampleLines(pieces, 'standard input', options.format, options);
  } else {
    for (const file of options.file) {
      if (file.endsWith('.txt')) {
        const lines = exampleLines(linePieces(openText(file), file, signal), file, 'text', options);
        yield* notEmpty(lines, file);
      } else {
        const reading = { ...columnsOf(options), ...compact({ offline: options.offline }), onNotice: say };
        yield* inPieces(streamFile(task, file, reading));
      }
    }
  }
}

/** @throws FusedLoraError INVALID_DATA for a file without a line, as for every other data file. */
async function* notEmpty(pieces: AsyncIterable<Example[]>, file: string): AsyncGenerator<Example[]> {
  let count = 0;
  for await (const piece of pieces) {
    count += piece.length;
    yield piece;
  }
  if (count === 0) throw new FusedLoraError('INVALID_DATA', `${file}: has no lines; give a file with one text a line`);
}
