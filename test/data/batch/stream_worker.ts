/**
 * Passes over a data file in a process of its own, as a stream or in memory, and prints what memory
 * that took: `stream_worker.ts FILE MODE`.
 */
import {
  type EncodedExample,
  readExamples,
  type Shard,
  StreamedSource,
  streamExamples,
  type TextExample,
} from '../../../src';

/** As long as the text has words: what a tokenizer does to memory, without its time. */
const encode = async (examples: readonly TextExample[]): Promise<EncodedExample[]> =>
  examples.map(({ text, label }) => {
    const ids = Int32Array.from(text.slice(0, 300).split(' '), (word) => word.length);
    return { inputIds: ids, tokenTypeIds: new Int32Array(ids.length), label: label === 'good' ? 1 : 0 };
  });

async function stream(file: string): Promise<number> {
  const shard: Shard<TextExample> = async function* () {
    for await (const example of streamExamples(file)) yield [example];
  };
  const source = await StreamedSource.open([shard], encode, {
    positions: { offset: 2, maxPositions: 514 },
    batchSize: 32,
    shuffleWindow: 1024,
  });
  const batches = source.epoch(0);
  let examples = 0;
  for (let i = 0; i < batches.length; i++) examples += (await batches.at(i)).sizes.S;
  return examples;
}

const [file = '', mode] = process.argv.slice(2);
(mode === 'stream' ? stream(file) : readExamples(file).then(({ length }) => length)).then((examples) => {
  // ru_maxrss, in KiB.
  const peakBytes = process.resourceUsage().maxRSS * 1024;
  process.stdout.write(`${JSON.stringify({ examples, peakBytes })}\n`);
});
