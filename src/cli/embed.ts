/**
 * `fused-lora embed`: embeddings of texts as JSON lines, in the order of the input.
 * They are computed by src/task/embed; lines are written by predict_output.ts.
 */
import { Command } from 'commander';
import { FusedLoraError } from '../base/errors';
import { compact } from '../base/options';
import { printableJson } from '../base/printable';
import type { TextExample } from '../data/examples/example';
import type { ColumnOptions } from '../data/read/columns';
import { formatOf } from '../data/read/files';
import { streamFile } from '../data/read/load';
import type { BaseWeights, EmbeddingWeights } from '../graph/base_weights';
import { chooseDevice, type DeviceOption } from '../graph/device';
import type { PrecisionOption } from '../graph/precision';
import { Embedder } from '../task/embed/embedder';
import { openEmbeddingModel } from '../task/embed/open_embedding_model';
import { POOLING_MODES, type PoolingMode } from '../task/embed/pooling';
import { addExamples, choice, integer, type OutputOptions } from './options';
import { inPieces, linePieces, openText } from './predict_input';
import { openOutput } from './predict_output';
import { action, type CommandContext } from './run';
import { addGroup, addOutputOptions, addRows, columnsOf, rowsOf } from './table_options';

interface EmbedCommandOptions extends ColumnOptions, Pick<OutputOptions, 'quiet' | 'verbose'> {
  model?: string;
  adapter?: string;
  revision?: string;
  offline?: boolean;
  tokenizer?: string;
  maxLength?: number;
  pooling?: PoolingMode;
  promptName?: string;
  prompt?: string;
  normalize?: true;
  dimensions?: number;
  file?: string[];
  output?: string;
  device?: DeviceOption;
  precision?: PrecisionOption;
  baseWeights?: BaseWeights;
  embeddingWeights?: EmbeddingWeights;
}

export function embedCommand(): Command {
  const command = new Command('embed')
    .description('embeddings of texts: given as arguments, in files, or one a line on standard input')
    .argument('[texts...]', 'texts')
    .optionsGroup('Model:')
    .option(
      '--model <dir|name>',
      "sentence-transformers folder, any encoder, or a name on the hub (default: the adapter's base)",
    )
    .option('--adapter <dir|name>', 'PEFT adapter folder, or a name on the hub');
  addRows(
    command,
    rowsOf(['revision', 'offline', 'tokenizer', 'maxLength'], {
      tokenizer: { says: "the adapter's, else the model's" },
      maxLength: { says: "the folder's" },
    }),
  );
  command
    .optionsGroup('Embeddings:')
    .addOption(choice('--pooling <how>', "how tokens become one row (default: the folder's, else mean)", POOLING_MODES))
    .option('--prompt-name <name>', "a prompt of the model before each text (default: the model's default prompt)")
    .option('--prompt <text>', 'a prompt of your own (default: none)')
    .option('--normalize', 'of length 1, whatever the folder says')
    .option('--dimensions <n>', 'the first features alone (default: all)', integer(1))
    .optionsGroup('Input and output:')
    .option('--file <files...>', '.csv, .tsv, .jsonl or .parquet (also .gz) with texts; else one text a line')
    .option('--output <file>', 'write the JSON lines there (default: standard output)');
  addRows(command.optionsGroup('Columns of the data:'), rowsOf(['textColumn', 'header', 'delimiter']));
  addRows(addGroup(command, 'Device'), rowsOf(['baseWeights', 'embeddingWeights']));
  addOutputOptions(command, { figures: false });
  addExamples(command, [
    'fused-lora embed --model all-MiniLM-L6-v2/ "a lovely film" "a film that I loved"',
    'fused-lora embed --model all-MiniLM-L6-v2/ --adapter tuned/ --file reviews.txt --output vectors.jsonl',
  ]);
  return command.action(
    action(async (context, texts: string[], options: EmbedCommandOptions) => {
      const {
        model,
        adapter,
        file,
        output: target,
        device,
        precision,
        baseWeights,
        embeddingWeights,
        ...others
      } = options;
      const { promptName, prompt, normalize, dimensions, ...opening } = others;
      const dir = model ?? adapter;
      if (dir === undefined) throw new FusedLoraError('INVALID_ARGUMENT', 'give --model DIR, --adapter DIR, or both');
      if (texts.length > 0 && file !== undefined) {
        throw new FusedLoraError('INVALID_ARGUMENT', 'give texts as arguments or --file, not both');
      }
      chooseDevice(device);
      const { revision, offline, tokenizer, maxLength, pooling } = opening;
      const opened = await openEmbeddingModel(dir, {
        ...compact({
          adapter: model === undefined ? undefined : adapter,
          revision,
          offline,
          tokenizer,
          maxLength,
          pooling,
        }),
        signal: context.signal,
        onNotice: context.say,
      });
      const output = openOutput(target);
      try {
        using embedder = new Embedder(opened, compact({ device, precision, baseWeights, embeddingWeights }));
        const form = compact({ promptName, prompt, normalize, dimensions, signal: context.signal });
        let count = 0;
        for await (const piece of inputOf(texts, options, context)) {
          count += piece.length;
          const embeddings = await embedder.embed(piece, form);
          const lines = piece.map(
            (text, i) => `${printableJson({ text, embedding: [...(embeddings[i] as Float32Array)] })}\n`,
          );
          await output.write(lines.join(''));
        }
        output.finish();
        if (embedder.numberCut > 0) context.say(`${embedder.numberCut} of ${count} texts were cut`);
      } catch (error) {
        output.discard();
        throw error;
      } finally {
        opened.model.dispose();
      }
    }),
  );
}

async function* linesOf(pieces: AsyncIterable<{ lines: string[] }>): AsyncGenerator<string[]> {
  for await (const { lines } of pieces) yield lines;
}

async function* inputOf(
  texts: string[],
  options: EmbedCommandOptions,
  { signal, say }: CommandContext,
): AsyncGenerator<string[]> {
  if (texts.length > 0) yield texts;
  else if (options.file !== undefined) {
    for (const file of options.file) {
      if (formatOf(file, false) === undefined) {
        yield* linesOf(linePieces(openText(file), file, signal));
        continue;
      }
      const reading = { ...columnsOf(options), ...compact({ offline: options.offline }), onNotice: say };
      for await (const piece of inPieces(streamFile('sequence-classification', file, reading))) {
        yield piece.map((example) => (example as TextExample).text);
      }
    }
  } else {
    if (process.stdin.isTTY) say('reading texts, one a line; Ctrl-D ends');
    yield* linesOf(linePieces(process.stdin, 'standard input', signal));
  }
}
