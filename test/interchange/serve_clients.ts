/**
 * A server asked by the clients that people have: @huggingface/inference with the address of an
 * endpoint, openai 6 and curl, which it installs into a temporary folder. A maintainer's check that
 * needs a registry; recorded shapes are tested in test/serve.
 *
 *     npx tsx test/interchange/serve_clients.ts
 */
import * as assert from 'node:assert/strict';
import { execFile, execFileSync } from 'node:child_process';
import * as fs from 'node:fs';
import { createRequire } from 'node:module';
import * as os from 'node:os';
import * as path from 'node:path';
import { promisify } from 'node:util';
import { createServer } from '../../src/serve';
import { makeAdapters } from '../serve/adapters';
import { TINY } from '../task/tasks';

const CLIENTS = ['@huggingface/inference@4.13.30', 'openai@6.49.0'];
const run = promisify(execFile);
const TEXT = 'Anna Miller visited New York with a gripping film .';

interface HuggingFace {
  textClassification(args: object): Promise<{ label: string; score: number }[]>;
  tokenClassification(args: object): Promise<{ entity_group?: string; word: string; start: number; end: number }[]>;
  featureExtraction(args: object): Promise<number[] | number[][]>;
  sentenceSimilarity(args: object): Promise<number[]>;
}

interface OpenAi {
  models: { list(): AsyncIterable<{ id: string }> };
  embeddings: { create(args: object): Promise<{ data: { embedding: number[] }[]; usage: object }> };
}

async function main(): Promise<void> {
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'clients-'));
  const clients = path.join(dir, 'clients');
  fs.mkdirSync(clients);
  fs.writeFileSync(path.join(clients, 'package.json'), '{"private": true}');
  execFileSync('npm', ['install', '--no-audit', '--no-fund', ...CLIENTS], { cwd: clients, stdio: 'inherit' });
  const load = createRequire(path.join(clients, 'index.js'));
  const encoder = path.join(__dirname, '..', 'fixtures', 'embed', 'bert');
  const classifiers = await createServer({ model: TINY, adapters: makeAdapters(dir) });
  const embeddings = await createServer({ model: encoder, modelName: 'encoder', pooling: 'mean', apiKey: 'secret' });
  try {
    const url = await classifiers.listen({ port: 0 });
    const embeddingUrl = await embeddings.listen({ port: 0 });

    const { InferenceClient } = load('@huggingface/inference') as {
      InferenceClient: new (token?: string) => HuggingFace;
    };
    const client = new InferenceClient();
    const mood = await client.textClassification({ endpointUrl: `${url}/models/mood`, inputs: TEXT });
    assert.deepEqual(mood.map(({ label }) => label).sort(), ['negative', 'positive']);
    const first = await client.textClassification({ endpointUrl: url, inputs: TEXT, parameters: { top_k: 1 } });
    assert.deepEqual(first, mood.slice(0, 1));
    const tags = await client.tokenClassification({ endpointUrl: `${url}/models/tags`, inputs: TEXT });
    assert.ok(tags.length > 0);
    for (const { word, start, end } of tags) assert.equal(TEXT.slice(start, end), word);
    const locked = new InferenceClient('secret');
    const features = await locked.featureExtraction({ endpointUrl: embeddingUrl, inputs: TEXT });
    assert.equal((features as number[]).length, 12);
    const inputs = { source_sentence: 'the film', sentences: ['the film', 'music'] };
    const similar = await locked.sentenceSimilarity({ endpointUrl: embeddingUrl, inputs });
    assert.ok(Math.abs((similar[0] as number) - 1) < 1e-6);
    console.log(
      '@huggingface/inference: textClassification, tokenClassification, featureExtraction, sentenceSimilarity',
    );

    const OpenAI = (load('openai') as { default: new (options: object) => OpenAi }).default;
    const openai = new OpenAI({ baseURL: `${embeddingUrl}/v1`, apiKey: 'secret' });
    const ids: string[] = [];
    for await (const { id } of openai.models.list()) ids.push(id);
    assert.deepEqual(ids, ['encoder']);
    const { data, usage } = await openai.embeddings.create({ model: 'encoder', input: ['the film', 'music'] });
    assert.deepEqual(
      data.map(({ embedding }) => embedding.length),
      [12, 12],
    );
    assert.deepEqual(Object.keys(usage), ['prompt_tokens', 'total_tokens']);
    const plain = await openai.embeddings.create({ model: 'encoder', input: 'music', encoding_format: 'float' });
    for (const [k, value] of data[1]!.embedding.entries()) {
      assert.ok(Math.abs(value - plain.data[0]!.embedding[k]!) < 1e-6);
    }
    await assert.rejects(openai.embeddings.create({ model: 'none', input: 'music' }), /404.*there is no model/);
    await assert.rejects(
      new OpenAI({ baseURL: `${embeddingUrl}/v1`, apiKey: 'guess' }).embeddings.create({
        model: 'encoder',
        input: 'a',
      }),
      /401/,
    );
    console.log('openai: models.list, embeddings.create (base64 and float), errors');

    const body = JSON.stringify({ inputs: TEXT });
    const curl = await run('curl', ['-s', '--json', body, `${url}/predict`]);
    assert.deepEqual(JSON.parse(curl.stdout), mood);
    console.log('curl: /predict');
  } finally {
    await classifiers.close();
    await embeddings.close();
    fs.rmSync(dir, { recursive: true, force: true });
  }
}

main().catch((error: unknown) => {
  console.error(error);
  process.exitCode = 1;
});
