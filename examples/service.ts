/**
 * A long-running service in a few lines: a base model and its adapters over HTTP, which can be
 * loaded and unloaded while it runs. The server is src/serve; docs/serving.md has its routes.
 *
 *     npx tsx examples/service.ts [NAME=ADAPTER_FOLDER …]
 *
 * Without a folder a small adapter is trained first.
 *
 *     curl localhost:8080/predict --json '{"inputs": "what a lovely film"}'
 */
import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';
// In your program these come from 'fused-lora' and 'fused-lora/serve'.
import { fineTune } from '../src';
import { createServer } from '../src/serve';
import { makeSentimentTask } from './sentiment_grammar';

const MODEL = path.join(__dirname, '..', 'assets', 'tiny-roberta');

async function main(): Promise<void> {
  const adapters = Object.fromEntries(process.argv.slice(2).map((argument) => argument.split('=')));
  if (Object.keys(adapters).length === 0) {
    const outputDir = fs.mkdtempSync(path.join(os.tmpdir(), 'service-'));
    const train = makeSentimentTask().train.slice(0, 320);
    const { textModel } = await fineTune({ model: MODEL, train, outputDir, epochs: 1 });
    textModel.model.dispose();
    adapters['reviews'] = outputDir;
  }
  const server = await createServer({ model: MODEL, adapters, adminToken: process.env['ADMIN_TOKEN'] });
  console.log(`listening on ${await server.listen({ port: Number(process.env['PORT'] ?? 8080) })}`);
  // Answers what was accepted, then ends.
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => server.close());
}

main().catch((error: unknown) => {
  console.error(error);
  process.exitCode = 1;
});
