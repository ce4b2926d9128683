/**
 * Embeddings over HTTP, with an adapter and without, in the forms of TEI, OpenAI and Hugging Face:
 * those of the library, which are sentence-transformers' (test/task/embed.test.ts).
 */
import * as fs from 'node:fs';
import * as path from 'node:path';
import type { FastifyInstance } from 'fastify';
import { createServer } from '../../src/serve';
import { cosineSimilarity, embed } from '../../src/task/embed/embedder';
import { openEmbeddingModel } from '../../src/task/embed/open_embedding_model';
import { temporaryFolder } from '../io/temporary';

const FIXTURES = path.join(__dirname, '..', 'fixtures', 'embed');
const TEXTS = ['the film was lovely', 'a dull story', 'music'];
const folder = path.join(temporaryFolder(), 'encoder');
const adapter = path.join(FIXTURES, 'adapter');
let server: FastifyInstance;

beforeAll(async () => {
  fs.cpSync(path.join(FIXTURES, 'bert'), folder, { recursive: true });
  const write = (name: string, content: unknown) => {
    fs.mkdirSync(path.dirname(path.join(folder, name)), { recursive: true });
    fs.writeFileSync(path.join(folder, name), JSON.stringify(content));
  };
  const type = (kind: string) => `sentence_transformers.models.${kind}`;
  const places = { Transformer: '', Pooling: '1_Pooling' };
  write(
    'modules.json',
    Object.entries(places).map(([kind, at], idx) => ({ idx, path: at, type: type(kind) })),
  );
  write('1_Pooling/config.json', { embedding_dimension: 12, pooling_mode: 'mean', include_prompt: false });
  write('config_sentence_transformers.json', { prompts: { query: 'search query : ', document: '' } });
  server = await createServer({ model: folder, adapters: { tuned: adapter } });
});
afterAll(() => server.close());

async function post(url: string, payload: object) {
  const response = await server.inject({ method: 'POST', url, payload });
  return { status: response.statusCode, body: response.json() };
}

/** What the library gives, of length 1 as clients of TEI and OpenAI expect it. */
async function wanted(options: { adapter?: string; promptName?: string; normalize?: boolean } = {}) {
  const { adapter: put, ...form } = options;
  const opened = await openEmbeddingModel(folder, { adapter: put });
  const embeddings = await embed(opened, TEXTS, { normalize: true, ...form });
  opened.model.dispose();
  return embeddings.map((one) => [...one]);
}

const close = (got: number[][], want: number[][]) => {
  expect(got.map(({ length }) => length)).toEqual(want.map(({ length }) => length));
  got.forEach((one, i) => {
    expect(Math.max(...one.map((value, k) => Math.abs(value - want[i]![k]!)))).toBeLessThan(1e-6);
  });
};

test('/embed: of the base and of its adapter, with prompts, dimensions, and as pooled', async () => {
  close((await post('/embed', { inputs: TEXTS })).body, await wanted());
  close((await post('/embed', { inputs: TEXTS, model: 'tuned' })).body, await wanted({ adapter }));
  close((await post('/embed', { inputs: TEXTS, prompt_name: 'query' })).body, await wanted({ promptName: 'query' }));
  close((await post('/embed', { inputs: TEXTS, normalize: false })).body, await wanted({ normalize: false }));
  const { body } = await post('/embed', { inputs: TEXTS[0], dimensions: 5 });
  close(body, [(await wanted())[0]!.slice(0, 5)]);
  expect((await post('/embed', { inputs: 'a', dimensions: 13 })).status).toBe(422);
  expect((await post('/embed', { inputs: 'a', prompt_name: 'passage' })).body.error).toContain('query, document');
});

test('/v1/embeddings: numbers or base64, with usage', async () => {
  const { body } = await post('/v1/embeddings', { model: 'tuned', input: TEXTS });
  expect(body).toMatchObject({ object: 'list', model: 'tuned', usage: { prompt_tokens: 14, total_tokens: 14 } });
  const vectors = body.data.map(({ embedding }: { embedding: number[] }) => embedding);
  close(vectors, await wanted({ adapter }));
  const packed = await post('/v1/embeddings', { model: 'tuned', input: TEXTS, encoding_format: 'base64' });
  const bytes = Buffer.from(packed.body.data[2].embedding, 'base64');
  const values = Array.from({ length: bytes.length / 4 }, (_, i) => bytes.readFloatLE(4 * i));
  close([values], [vectors[2]]);
});

test('Hugging Face: features as the folder says, and similarities of sentences', async () => {
  close((await post('/', { inputs: TEXTS })).body, await wanted({ normalize: false }));
  const [source, ...others] = await wanted();
  const inputs = { source_sentence: TEXTS[0], sentences: TEXTS.slice(1) };
  const { body } = await post('/', { inputs });
  const similarities = others.map((one) => cosineSimilarity(Float32Array.from(source!), Float32Array.from(one)));
  close([body], [similarities]);
});

test('/info and /predict say what kind of model it is', async () => {
  const { body } = await server.inject('/info').then((response) => ({ body: response.json() }));
  expect(body).toMatchObject({ model_id: 'encoder', model_type: { embedding: { pooling: 'mean', dimension: 12 } } });
  expect((await post('/predict', { inputs: 'a' })).status).toBe(424);
});
