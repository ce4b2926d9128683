/**
 * Routes in the forms that clients of other servers send and read (TEI, vLLM, OpenAI, Hugging
 * Face), on adapters of several tasks: each answer is the one that the adapter gives by itself.
 */
import * as fs from 'node:fs';
import * as path from 'node:path';
import type { FastifyInstance } from 'fastify';
import type { Prediction } from '../../src/metrics/predictions';
import { createServer } from '../../src/serve';
import { classify } from '../../src/task/classify';
import { openTextModel } from '../../src/task/text_model';
import { failure, temporaryFolder } from '../io/temporary';
import { TINY } from '../task/tasks';
import { KINDS, type MadeAdapter, makeAdapter, makeAdapters } from './adapters';

jest.setTimeout(120_000);

const dir = temporaryFolder();
const ADMIN = 'a token of this test';
let adapters: Record<string, string>;
let server: FastifyInstance;

beforeAll(async () => {
  adapters = makeAdapters(dir);
  server = await createServer({
    ...{ model: TINY, adapters, adapterFolders: [dir], adminToken: ADMIN, allowedHosts: ['localhost', '127.0.0.1'] },
    maxTexts: 16,
    maxCharacters: 2000,
  });
});
afterAll(() => server.close());

async function ask(method: 'GET' | 'POST', url: string, body?: unknown, headers: Record<string, string> = {}) {
  const payload = body === undefined ? {} : { payload: body as object };
  const response = await server.inject({ method, url, headers, ...payload });
  const isJson = String(response.headers['content-type']).includes('json');
  return { status: response.statusCode, body: isJson ? response.json() : response.body, headers: response.headers };
}
const post = (url: string, body: unknown, headers?: Record<string, string>) => ask('POST', url, body, headers);

const TEXTS = ['a gripping film', 'dull and far too long', 'the food was cold', 'Anna Miller visited New York .'];

/** What an adapter says by itself. */
async function alone(name: string, texts = TEXTS): Promise<Prediction[]> {
  const textModel = await openTextModel(TINY, { adapter: adapters[name] });
  try {
    return await classify(textModel, texts);
  } finally {
    textModel.model.dispose();
  }
}

const byScore = (probabilities: Record<string, number>) =>
  Object.entries(probabilities)
    .map(([label, score]) => ({ label, score }))
    .sort((a, b) => b.score - a.score);

describe('text-embeddings-inference', () => {
  const single = ['mood', 'topic', 'toxic', 'biased'];

  test.each(single)('/predict of %s: labels by falling score, with the bits of the adapter alone', async (name) => {
    const wanted = (await alone(name)).map(({ probabilities }) => byScore(probabilities!));
    expect((await post('/predict', { model: name, inputs: TEXTS.map((text) => [text]) })).body).toEqual(wanted);
    expect((await post('/predict', { model: name, inputs: TEXTS[0] })).body).toEqual(wanted[0]);
    expect((await post('/predict', { model: name, inputs: [TEXTS[0]] })).body).toEqual(wanted[0]);
  });

  test('a text does not depend on its company, of whichever model', async () => {
    const names = [...single, 'rank', 'tags'];
    const one = await Promise.all(TEXTS.map((inputs) => post('/predict', { model: 'mood', inputs })));
    const mixed = await Promise.all(
      TEXTS.flatMap((inputs) => names.map((model) => post('/predict', { model, inputs }))),
    );
    const moods = mixed.filter((_, i) => i % names.length === 0);
    expect(moods.map(({ body }) => body)).toEqual(one.map(({ body }) => body));
  });

  test('a flat list of two texts is one pair, and a list of lists is a batch', async () => {
    const textModel = await openTextModel(TINY, { adapter: adapters['topic'] });
    const [wanted] = await classify(textModel, [{ text: TEXTS[0] as string, textPair: TEXTS[1] as string }]);
    textModel.model.dispose();
    const pair = byScore(wanted!.probabilities!);
    expect((await post('/predict', { model: 'topic', inputs: [TEXTS[0], TEXTS[1]] })).body).toEqual(pair);
    const batch = await post('/predict', { model: 'topic', inputs: [[TEXTS[0], TEXTS[1]], [TEXTS[2]]] });
    expect(batch.body[0]).toEqual(pair);
    expect(batch.body[1]).not.toEqual(pair);
  });

  test('raw_scores are logits; regression gives its values', async () => {
    const { body: raw } = await post('/predict', { model: 'mood', inputs: TEXTS[0], raw_scores: true });
    const { body: scores } = await post('/predict', { model: 'mood', inputs: TEXTS[0] });
    const [a, b] = raw.map(({ score }: { score: number }) => score);
    expect(scores[0].score).toBeCloseTo(1 / (1 + Math.exp(b - a)), 6);
    const [{ values }] = (await alone('rank')) as [Prediction];
    expect((await post('/predict', { model: 'rank', inputs: TEXTS[0] })).body).toEqual([
      { label: 'LABEL_0', score: values![0] },
    ]);
  });

  test('/rerank orders texts by the score of their pair with the query', async () => {
    const { body } = await post('/rerank', { query: 'a film', texts: TEXTS, return_text: true });
    expect(body.map(({ index }: { index: number }) => index).sort()).toEqual([0, 1, 2, 3]);
    const scores = body.map(({ score }: { score: number }) => score);
    expect(scores).toEqual([...scores].sort((a, b) => b - a));
    expect(body.every(({ index, text }: { index: number; text: string }) => text === TEXTS[index])).toBe(true);
    const raw = await post('/rerank', { query: 'a film', texts: TEXTS, raw_scores: true });
    expect(raw.body[0].score).toBeCloseTo(Math.log(scores[0] / (1 - scores[0])), 3);
    expect(raw.body[0]).toEqual({ index: body[0].index, score: raw.body[0].score });
    expect((await post('/rerank', { query: 'a', texts: TEXTS, model: 'mood' })).status).toBe(424);
  });

  test('/info, /health and /metrics', async () => {
    const { body } = await ask('GET', '/info');
    expect(body).toMatchObject({
      model_id: 'mood',
      model_type: {
        classifier: { id2label: { 0: 'negative', 1: 'positive' }, label2id: { negative: 0, positive: 1 } },
      },
      ...{ max_input_length: 64, max_client_batch_size: 16, auto_truncate: true },
    });
    expect(body.served.map(({ model_id: id }: { model_id: string }) => id)).toEqual(Object.keys(KINDS));
    expect((await ask('GET', '/health')).status).toBe(200);
    const { body: metrics, headers } = await ask('GET', '/metrics');
    expect(headers['content-type']).toContain('version=0.0.4');
    expect(metrics).toMatch(/fused_lora_requests_total\{route="\/predict",model="mood",status="200"\} \d+/);
    expect(metrics).toMatch(/fused_lora_tokens_total\{model="topic"\} \d+/);
    expect(metrics).toContain('fused_lora_queue_texts 0');
    expect(metrics).toContain('process_resident_memory_bytes');
  });

  test.each([
    ['no text', { inputs: [] }, 400, 'empty'],
    ['no inputs', {}, 422, 'validation'],
    ['a number', { inputs: 5 }, 422, 'validation'],
    ['three texts in a flat list', { inputs: ['a', 'b', 'c'] }, 422, 'validation'],
    ['a pair of three', { inputs: [['a', 'b', 'c']] }, 422, 'validation'],
    ['too many texts', { inputs: Array.from({ length: 17 }, () => ['a']) }, 413, 'validation'],
    ['too many characters', { inputs: 'a'.repeat(2001) }, 413, 'validation'],
    ['too many tokens to be cut', { inputs: 'a film '.repeat(100), truncate: false }, 413, 'validation'],
    ['no such model', { inputs: 'a', model: 'mod' }, 404, 'validation'],
    ['a pair for words', { inputs: ['a', 'b'], model: 'tags' }, 422, 'validation'],
  ])('%s is told by its code', async (_, body, status, type) => {
    const answer = await post('/predict', body);
    expect([answer.status, answer.body]).toEqual([status, { error: expect.any(String), error_type: type }]);
  });

  test.each([
    [
      '/predict',
      { inputs: ['a', 'b', 'c'] },
      'body/inputs must be a text; ["a", "b"] for one pair; or [["a"], ["b", "c"]]',
    ],
    ['/embed', { inputs: [5] }, 'body/inputs must be a text, or a list of texts'],
    ['/', { inputs: [['a']] }, 'body/inputs must be a text or {"text", "text_pair"}'],
    [
      '/predict',
      { inputs: 'a', truncation_direction: 'up' },
      'body/truncation_direction must be one of "Left", "Right"',
    ],
    ['/predict', { inputs: 'a', raw_scores: 1 }, 'body/raw_scores must be boolean'],
    ['/predict', {}, "body must have required property 'inputs'"],
  ])('%s of %j says what it wants', async (url, body, message) => {
    expect((await post(url, body)).body.error).toContain(message);
  });

  test('what is no JSON, and no JSON type, is told', async () => {
    const json = { 'content-type': 'application/json' };
    expect((await post('/predict', '{"inputs": ', json)).status).toBe(422);
    expect((await post('/predict', '', json)).status).toBe(422);
    expect((await post('/predict', 'inputs=a', { 'content-type': 'text/plain' })).status).toBe(415);
    expect((await post('/predict', `${'['.repeat(100_000)}${']'.repeat(100_000)}`, json)).status).toBe(422);
    expect((await post('/predict', { inputs: 'a'.repeat(2_000_000) })).status).toBe(413);
    expect((await ask('GET', '/nothing')).body.error).toContain('/openapi.json');
    for (const deadline of ['soon', '0', '-5', '1e99', '0x10', '']) {
      const late = await post('/predict', { inputs: 'a' }, { 'x-request-timeout-ms': deadline });
      expect([deadline, late.status]).toEqual([deadline, 422]);
    }
  });
});

describe('vLLM and OpenAI', () => {
  test('/classify: probabilities in the order of the labels, the model by name', async () => {
    const [wanted] = (await alone('topic')) as [Prediction];
    const { body } = await post('/classify', { model: 'topic', input: TEXTS.slice(0, 2) });
    expect(body).toMatchObject({
      ...{ id: expect.stringMatching(/^classify-/), object: 'list', created: expect.any(Number), model: 'topic' },
      usage: { prompt_tokens: expect.any(Number), completion_tokens: 0 },
    });
    expect(body.data).toHaveLength(2);
    const probs = Object.values(wanted.probabilities!);
    expect(body.data[0]).toEqual({ index: 0, label: wanted.label, probs, num_classes: 3 });
    const raw = await post('/classify', { model: 'topic', input: TEXTS[0], use_activation: false });
    expect(raw.body.data[0].probs[0]).not.toBe(probs[0]);
  });

  test('/v1/models has adapters with their parent and root', async () => {
    const { body } = await ask('GET', '/v1/models');
    expect(body.object).toBe('list');
    expect(body.data[0]).toMatchObject({
      ...{ id: 'mood', object: 'model', owned_by: 'fused-lora', parent: 'tiny-roberta', root: adapters['mood'] },
      task: 'sequence-classification',
    });
  });

  test('/v1/tasks: several models for each text', async () => {
    const { body } = await post('/v1/tasks', { input: TEXTS, models: ['mood', 'tags', 'rank'] });
    expect(body.models).toEqual(['mood', 'tags', 'rank']);
    const moods = (await alone('mood')).map(({ probabilities }) => byScore(probabilities!));
    expect(body.data.map(({ tasks }: { tasks: Record<string, unknown> }) => tasks['mood'])).toEqual(moods);
    const all = await post('/v1/tasks', { input: TEXTS[0] });
    expect(Object.keys(all.body.data[0].tasks)).toEqual(Object.keys(KINDS));
    expect((await post('/v1/tasks', { input: 'a', models: ['mood', 'none'] })).status).toBe(404);
  });

  test('/v1/embeddings without such a model says so', async () => {
    const { status, body } = await post('/v1/embeddings', { input: 'a', model: 'mood' });
    expect([status, body.error]).toEqual([424, expect.stringContaining('gives no embeddings')]);
  });
});

describe('Hugging Face', () => {
  test('at / the first model, at /models/NAME any, with parameters', async () => {
    const [wanted] = (await alone('mood')) as [Prediction];
    // A list of one list, of which @huggingface/inference reads the first.
    expect((await post('/', { inputs: TEXTS[0] })).body).toEqual([byScore(wanted.probabilities!)]);
    const { body } = await post('/models/topic', { inputs: TEXTS, parameters: { top_k: 1 } });
    expect(body.map((labels: unknown[]) => labels.length)).toEqual([1, 1, 1, 1]);
    const none = await post('/', { inputs: { text: TEXTS[0] }, parameters: { function_to_apply: 'none' } });
    expect(none.body[0][0].score).not.toBe(byScore(wanted.probabilities!)[0]!.score);
    expect((await post('/models/none', { inputs: 'a' })).status).toBe(404);
  });

  test('words and entities have their place in the text, by code points', async () => {
    const text = '🎬 Anna Miller, of “Rome”, left.';
    const parameters = { aggregation_strategy: 'none' };
    const points = [...text];
    const { body } = await post('/models/tags', { inputs: text, parameters });
    for (const { word, start, end } of body) expect(points.slice(start, end).join('')).toBe(word);
    const { body: entities } = await post('/models/tags', { inputs: text });
    expect(entities.length).toBeGreaterThan(0);
    for (const { entity_group: group, word, start, end, score } of entities) {
      expect(['PER', 'LOC']).toContain(group);
      expect(points.slice(start, end).join('')).toBe(word);
      expect(score).toBeLessThanOrEqual(1);
    }
    const words = (await alone('tags', [TEXTS[3] as string]))[0]!.words!;
    const { body: own } = await post('/models/tags', { inputs: TEXTS[3], parameters });
    const wanted = words.filter(({ label }) => label !== 'O');
    expect(own.map(({ entity, score }: { entity: string; score: number }) => ({ entity, score }))).toEqual(
      wanted.map(({ label, probability }) => ({ entity: label, score: probability })),
    );
  });
});

describe('who may ask', () => {
  test('neither another host nor a page of another origin', async () => {
    const status = async (headers: Record<string, string>) => (await post('/predict', { inputs: 'a' }, headers)).status;
    expect(await status({ host: 'attacker.example' })).toBe(421);
    expect(await status({ host: 'localhost.attacker.example' })).toBe(421);
    expect(await status({ host: 'localhost:8080', origin: 'https://attacker.example' })).toBe(403);
    expect(await status({ host: 'localhost:8080', origin: 'http://localhost:8080' })).toBe(200);
    expect((await ask('GET', '/info', undefined, { host: 'localhost' })).headers).not.toHaveProperty(
      'access-control-allow-origin',
    );
  });

  test('adapters are loaded and unloaded by whoever has the token, from folders that are allowed', async () => {
    const token = { authorization: `Bearer ${ADMIN}` };
    const folder = makeAdapter(path.join(dir, 'later'), KINDS['topic'] as MadeAdapter, 9);
    const load = (body: object, headers: Record<string, string> = token) =>
      post('/v1/load_lora_adapter', body, headers);
    expect((await load({ lora_name: 'later', lora_path: folder }, {})).status).toBe(401);
    expect((await load({ lora_name: 'later', lora_path: folder }, { authorization: 'Bearer guess' })).status).toBe(401);
    expect((await load({ lora_name: 'later', lora_path: TINY })).body.error).toContain('adapterFolders');
    expect((await load({ lora_name: 'later', lora_path: path.join(dir, '..') })).status).toBe(400);
    expect((await load({ lora_name: 'mood', lora_path: folder })).body.error).toContain('is served already');
    expect((await load({ lora_name: '../x', lora_path: folder })).status).toBe(400);
    const before = await post('/predict', { model: 'mood', inputs: TEXTS[0] });
    // Batches go on while it is loaded.
    const [loaded, ...during] = await Promise.all([
      load({ lora_name: 'later', lora_path: folder }),
      ...TEXTS.map((inputs) => post('/predict', { model: 'mood', inputs })),
    ]);
    expect([loaded.status, loaded.body]).toEqual([200, "Success: LoRA adapter 'later' added successfully."]);
    expect(during[0]!.body).toEqual(before.body);
    const later = await post('/predict', { model: 'later', inputs: TEXTS[0] });
    expect(later.body).toHaveLength(3);
    expect((await post('/predict', { model: 'mood', inputs: TEXTS[0] })).body).toEqual(before.body);
    // What was accepted for it is answered before it goes.
    const accepted = TEXTS.map((inputs) => post('/predict', { model: 'later', inputs }));
    await new Promise((resolve) => setImmediate(resolve));
    const unloaded = await post('/v1/unload_lora_adapter', { lora_name: 'later' }, token);
    expect(unloaded.body).toBe("Success: LoRA adapter 'later' removed successfully.");
    for (const { status } of await Promise.all(accepted)) expect([200, 404]).toContain(status);
    expect((await post('/v1/unload_lora_adapter', { lora_name: 'later' }, token)).status).toBe(404);
    expect((await post('/predict', { model: 'mood', inputs: TEXTS[0] })).body).toEqual(before.body);
    // A damaged one leaves the others as they are.
    fs.truncateSync(path.join(folder, 'adapter_model.safetensors'), 1000);
    const damaged = await load({ lora_name: 'later', lora_path: folder });
    expect([damaged.status, damaged.body.error]).toEqual([400, expect.stringContaining('adapter_model.safetensors')]);
  });
});

test('with a key every route but /health and the page asks for it', async () => {
  const locked = await createServer({ model: TINY, adapters: { mood: adapters['mood'] as string }, apiKey: 'secret' });
  const status = async (url: string, authorization?: string) => {
    const headers = authorization === undefined ? {} : { authorization };
    return (await locked.inject({ url, headers })).statusCode;
  };
  expect(await status('/v1/models')).toBe(401);
  expect(await status('/v1/models', 'Bearer secre')).toBe(401);
  expect(await status('/v1/models', 'Bearer secret')).toBe(200);
  expect(await status('/metrics')).toBe(401);
  expect(await status('/health')).toBe(200);
  expect(await status('/ui')).toBe(200);
  // The routes of the admin are not there.
  const load = { method: 'POST' as const, url: '/v1/load_lora_adapter', payload: {} };
  expect((await locked.inject({ ...load, headers: { authorization: 'Bearer secret' } })).statusCode).toBe(404);
  await locked.close();
});

test('what can not be served is told before anything listens', async () => {
  expect(await failure('INVALID_ARGUMENT', createServer({}))).toContain('--adapter NAME=DIR');
  expect(await failure('INVALID_ARGUMENT', createServer({ model: TINY }))).toMatch(/--adapter NAME=DIR.*--pooling/);
  const [nowhere, mood] = [path.join(dir, 'nowhere'), adapters['mood'] as string];
  for (const model of [undefined, TINY]) {
    for (const [folder, problem] of [
      [nowhere, 'is not there'],
      [TINY, 'has no adapter_config.json'],
    ] as const)
      expect(await failure('FILE_NOT_FOUND', createServer({ model, adapters: { later: folder } }))).toContain(
        `adapter "later": ${folder} ${problem}`,
      );
  }
  const folders = { adapters: { mood }, adapterFolders: [dir, nowhere] };
  expect(await failure('FILE_NOT_FOUND', createServer(folders))).toContain(`${nowhere} in adapterFolders`);
  const timeoutMs = 2 ** 31;
  expect(await failure('INVALID_ARGUMENT', createServer({ adapters: { mood }, timeoutMs }))).toContain('at most');
  expect(await failure('INVALID_ARGUMENT', createServer({ model: TINY, apiKey: '' }))).toContain('apiKey is empty');
  for (const apiKey of ['ké', ' k', 5 as unknown as string]) {
    expect(await failure('INVALID_ARGUMENT', createServer({ model: TINY, apiKey }))).toContain('in a header');
  }
  const wrong = { maxText: 3 } as object;
  expect(await failure('INVALID_ARGUMENT', createServer(wrong))).toContain('Did you mean maxTexts?');
});
