/**
 * The server of benchmarks/serve.ts in a process of its own, and the same texts without HTTP in
 * that process. It is asked over the channel of its parent: see lib/commands.ts for other workers.
 */
import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';
import { Classifier, fineTune, openTextModel } from '../../src';
import { createServer } from '../../src/serve';

const AT_ONCE = 64;

interface Start {
  model: string;
  /** Folders by name. */
  adapters: Record<string, string>;
  texts: string[];
}

/** A run of training in this process, from its first step until it is stopped. */
async function startTraining(model: string, texts: string[]): Promise<() => Promise<void>> {
  const stop = new AbortController();
  const outputDir = fs.mkdtempSync(path.join(os.tmpdir(), 'beside-'));
  const run = { model, outputDir, batchSize: 32, maxSteps: 1e6, checkpointEvery: 1e6, signal: stop.signal };
  const train = texts.map((text, i) => ({ text, label: i % 2 ? 'yes' : 'no' }));
  let running: Promise<unknown> = Promise.resolve();
  await new Promise<void>((resolve, reject) => {
    const callbacks = [{ onStep: () => resolve() }];
    running = fineTune({ ...run, train, callbacks }).catch((error: { code?: string }) =>
      error.code === 'ABORTED' ? undefined : reject(error),
    );
  });
  return async () => {
    stop.abort();
    await running;
    fs.rmSync(outputDir, { recursive: true });
  };
}

async function main(): Promise<void> {
  const { model, adapters, texts } = JSON.parse(process.argv[2] as string) as Start;
  const server = await createServer({ model, adapters, maxWaiting: 100_000 });
  const url = await server.listen({ port: 0 });
  process.send?.({ url });
  const [adapter] = Object.values(adapters);
  const classifier = new Classifier(await openTextModel(model, { adapter }));
  let stopTraining = async () => {};
  process.on('message', async (message: { inProcess?: number; stop?: true; train?: boolean }) => {
    if (message.train !== undefined) {
      if (message.train) stopTraining = await startTraining(model, texts);
      else await stopTraining();
      process.send?.({ training: message.train });
      return;
    }
    if (message.stop) {
      await server.close();
      process.disconnect();
      return;
    }
    // As many at once as wait under load.
    const begin = performance.now();
    const count = message.inProcess as number;
    for (let done = 0; done < count; done += AT_ONCE) {
      const from = done % texts.length;
      await classifier.predict(texts.slice(from, from + AT_ONCE));
    }
    process.send?.({ textsPerSecond: (1000 * count) / (performance.now() - begin) });
  });
}

main().catch((error: unknown) => {
  console.error(error);
  process.exit(1);
});
