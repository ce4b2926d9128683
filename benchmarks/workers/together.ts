/**
 * Trains a number of LoRA runs at once on one frozen base, in a process of its own, and prints the
 * most memory that it had, in MiB. Called by benchmarks/tune.ts:
 *
 *     tsx together.ts RUNS MODEL TOKENIZER FOLDER
 */
import * as path from 'node:path';
import { fineTune } from '../../src';
import { sentencesOfWords } from '../lib/words';

const [runs = '1', model = '', tokenizer = '', folder = ''] = process.argv.slice(2);

async function main(): Promise<void> {
  const train = sentencesOfWords(64, 1);
  const settings = Array.from({ length: Number(runs) }, (_, i) => ({
    ...{ model, tokenizer, train, maxSteps: 3, batchSize: 16, seed: 0, device: 'cpu' as const },
    ...{ learningRate: 1e-4 * (i + 1), outputDir: path.join(folder, `${runs}-${i}`) },
  }));
  const results = await fineTune(settings);
  for (const { textModel } of results) textModel.model.dispose();
  console.log(JSON.stringify({ peakMebibytes: process.resourceUsage().maxRSS / 1024 }));
}

main().catch((error: unknown) => {
  console.error(error);
  process.exitCode = 1;
});
