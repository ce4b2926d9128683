/**
 * The server of benchmarks/serve.ts in a process of its own, and the same texts without HTTP in that
 * process. It is asked over the channel of its parent: see lib/commands.ts for other workers.
 */
import { Classifier, openTextModel } from '../../src';
import { createServer } from '../../src/serve';

interface Start {
  model: string;
  /** Folders by name. */
  adapters: Record<string, string>;
  texts: string[];
}

async function main(): Promise<void> {
  const { model, adapters, texts } = JSON.parse(process.argv[2] as string) as Start;
  const started = performance.now();
  const server = await createServer({ model, adapters, maxWaiting: 100_000 });
  const url = await server.listen({ port: 0 });
  process.send?.({ url, readySeconds: (performance.now() - started) / 1000 });
  const [adapter] = Object.values(adapters);
  const classifier = new Classifier(await openTextModel(model, { adapter }));
  process.on('message', async (message: { inProcess?: number; stop?: true }) => {
    if (message.stop) {
      await server.close();
      process.disconnect();
      return;
    }
    // As many texts at once as wait under load.
    const until = performance.now() + 1000 * (message.inProcess as number);
    const begin = performance.now();
    let count = 0;
    do {
      await classifier.predict(texts);
      count += texts.length;
    } while (performance.now() < until);
    process.send?.({ textsPerSecond: (1000 * count) / (performance.now() - begin) });
  });
}

main().catch((error: unknown) => {
  console.error(error);
  process.exit(1);
});
