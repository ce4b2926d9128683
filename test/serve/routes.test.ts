/**
 * Routes in the forms that clients of other servers send and read (TEI, vLLM, OpenAI, Hugging
 * Face), on adapters of several tasks: each answer is the one that the adapter gives by itself.
 */
import type { FastifyInstance } from 'fastify';
import { createServer } from '../../src/serve';
import { classify } from '../../src/task/classify';
import { openTextModel } from '../../src/task/text_model';
import { temporaryFolder } from '../io/temporary';
import { TINY } from '../task/tasks';
import { makeAdapters } from './adapters';

jest.setTimeout(120_000);

const dir = temporaryFolder();
const ADMIN = 'a token of this test';
let adapters: Record<string, string>;
let server: FastifyInstance;

beforeAll(async () => {
  adapters = makeAdapters(dir);
  server = await createServer({ model: TINY, adapters, adapterFolders: [dir], adminToken: ADMIN });
});
afterAll(() => server.close());

const post = async (url: string, body: unknown, headers: Record<string, string> = {}) => {
  const response = await server.inject({ method: 'POST', url, payload: body as object, headers });
  const type = String(response.headers['content-type']);
  return { status: response.statusCode, body: type.includes('json') ? response.json() : response.body, headers: response.headers };
};

test('x', async () => {
  const texts = ['a gripping film', 'dull and far too long'];
  for (const name of ['mood', 'topic', 'biased']) {
    const alone = await openTextModel(TINY, { adapter: adapters[name] });
    const wanted = await classify(alone, texts);
    const { body } = await post('/predict', { model: name, inputs: texts.map((t) => [t]) });
    console.log(JSON.stringify(wanted), JSON.stringify(body));
  }
  console.log(JSON.stringify((await post('/v1/tasks', { input: 'Anna Miller visited New York.' })).body, null, 1));
  console.log((await server.inject({ url: '/metrics' })).body.slice(0, 3000));
  console.log((await server.inject({ url: '/info' })).body);
});
