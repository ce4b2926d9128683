/**
 * Counts how long SST-2's training sentences are in RoBERTa's tokens: writes sst2-lengths.json,
 * from which the benchmarks draw, so that they need no data set.
 * Sentences of these lengths are made in lib/batches.ts.
 *
 *   npx tsx benchmarks/data/sst2_lengths.ts SST2/train.tsv ROBERTA_TOKENIZER_FOLDER
 */
import * as fs from 'node:fs';
import * as path from 'node:path';
import { encodeExamples, loadTokenizer, readExamples } from '../../src';
import { start } from '../lib/main';

start(async () => {
  const [file, tokenizer] = process.argv.slice(2);
  if (!file || !tokenizer) throw new Error('usage: sst2_lengths.ts TRAIN.tsv TOKENIZER_FOLDER');
  const encoded = await encodeExamples(await readExamples(file), loadTokenizer(tokenizer), { maxLength: 512 });
  const counts: number[] = [];
  for (const { inputIds } of encoded) {
    while (counts.length <= inputIds.length) counts.push(0);
    counts[inputIds.length] = (counts[inputIds.length] as number) + 1;
  }
  const about = `sentences of GLUE SST-2's train.tsv (${encoded.length}) by their number of tokens, roberta-base's tokenizer, <s> and </s> counted`;
  fs.writeFileSync(path.join(__dirname, 'sst2-lengths.json'), `${JSON.stringify({ about, counts })}\n`);
});
