/** `fused-lora predict`: labels and probabilities as JSON lines, in the order of the input. */
import * as fs from 'node:fs';
import * as readline from 'node:readline';
import { Command } from 'commander';
import type { ColumnOptions } from '../data/columns';
import { FusedLoraError } from '../errors';
import { writeFileAtomicWith } from '../io/atomic';
import type { Task } from '../models';
import { Classifier } from '../task/classify';
import type { DeviceOption } from '../task/device';
import { type Example, isTokenExample, readExamplesFor } from '../task/examples';
import { addModelOptions, type ModelOptions, openModel } from './model';
import { addColumnOptions, compact, deviceOption, thresholdOption } from './options';
import { action } from './run';

interface PredictOptions extends ModelOptions, ColumnOptions {
  file?: string;
  output?: string;
  threshold?: number;
  device: DeviceOption;
}

/** Texts that are predicted together: enough to sort by length, few enough to stream. */
const CHUNK = 1024;

export function predictCommand(): Command {
  const command = new Command('predict')
    .description('classify texts: given as arguments, in a file, or one a line on standard input')
    .argument('[texts...]', 'texts to classify')
    .option('--file <file>', '.tsv or .jsonl with texts, or .txt with one a line')
    .option('--output <file>', 'write the JSON lines there (default: standard output)')
    .addOption(thresholdOption())
    .addOption(deviceOption())
    .option('--verbose', 'errors with their stack');
  addModelOptions(command);
  addColumnOptions(command);
  return command.action(
    action(async (context, texts: string[], options: PredictOptions) => {
      if (texts.length > 0 && options.file !== undefined) {
        throw new FusedLoraError('INVALID_ARGUMENT', 'give texts as arguments or --file, not both');
      }
      const textModel = await openModel(options);
      const collected: string[] = [];
      const write = (line: string) =>
        options.output === undefined ? process.stdout.write(line) : collected.push(line);
      {
        using classifier = new Classifier(textModel, {
          device: options.device,
          ...compact({ threshold: options.threshold }),
        });
        for await (const chunk of chunks(inputOf(texts, options, textModel.model.task))) {
          const predictions = await classifier.predict(chunk, context.signal);
          predictions.forEach((prediction, i) => {
            write(`${JSON.stringify({ ...inputIn(chunk[i] as Example), ...prediction })}\n`);
          });
        }
      }
      textModel.model.dispose();
      if (options.output !== undefined) {
        const encoder = new TextEncoder();
        writeFileAtomicWith(options.output, (sink) => {
          for (const line of collected) sink(encoder.encode(line));
        });
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

async function* inputOf(texts: string[], options: PredictOptions, task: Task): AsyncGenerator<Example> {
  if (texts.length > 0) yield* texts.map((text) => ({ text }));
  else if (options.file === undefined) yield* lines(process.stdin);
  else if (options.file.endsWith('.txt')) yield* lines(openText(options.file));
  else yield* readExamplesFor(task, options.file, options, false);
}

function openText(file: string): fs.ReadStream {
  try {
    return fs.createReadStream(file, { fd: fs.openSync(file, 'r') });
  } catch (cause) {
    throw new FusedLoraError('FILE_NOT_FOUND', `${file}: can not be read (${(cause as Error).message})`, { cause });
  }
}

async function* lines(stream: NodeJS.ReadableStream): AsyncGenerator<Example> {
  for await (const text of readline.createInterface({ input: stream, crlfDelay: Number.POSITIVE_INFINITY })) {
    yield { text };
  }
}

async function* chunks(examples: AsyncIterable<Example>): AsyncGenerator<Example[]> {
  let chunk: Example[] = [];
  for await (const example of examples) {
    chunk.push(example);
    if (chunk.length === CHUNK) {
      yield chunk;
      chunk = [];
    }
  }
  if (chunk.length > 0) yield chunk;
}
