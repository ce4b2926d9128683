/**
 * A server on a socket: clients that go away, too many of them, a slow end, and the command with
 * SIGTERM. What routes answer is in routes.test.ts.
 */
import { once } from 'node:events';
import * as http from 'node:http';
import type { AddressInfo } from 'node:net';
import * as net from 'node:net';
import type { FastifyInstance } from 'fastify';
import { fastify } from 'fastify';
import { createServer, servePlugin } from '../../src/serve';
import { peers } from '../../src/serve/peers';
import { start } from '../cli/command';
import { errorMessage, temporaryFolder } from '../io/temporary';
import { reviews, TINY } from '../task/tasks';
import { makeAdapters } from './adapters';

jest.setTimeout(120_000);

const adapters = makeAdapters(temporaryFolder(), ['mood', 'topic']);
const texts = reviews(40, 3).map(({ text }) => text);

async function listen(options: Partial<Parameters<typeof createServer>[0]> = {}) {
  const server = await createServer({ model: TINY, adapters, ...options });
  await server.listen({ port: 0 });
  const { port } = server.server.address() as AddressInfo;
  return { server, port, url: `http://127.0.0.1:${port}` };
}

const post = (url: string, body: object, headers: Record<string, string> = {}) =>
  fetch(url, {
    method: 'POST',
    body: JSON.stringify(body),
    headers: { 'content-type': 'application/json', ...headers },
  });
const predict = async (url: string, inputs: unknown, model = 'mood') =>
  (await post(`${url}/predict`, { inputs, model })).json() as Promise<{ label: string; score: number }[]>;
const waitingIn = async (server: FastifyInstance) =>
  Number(/fused_lora_queue_texts (\d+)/.exec((await server.inject('/metrics')).body)![1]);

/** Texts that keep a model busy for a while. */
// One a batch, so that a queue is there on any machine.
const LONG = Array.from({ length: 100 }, (_, i) => [`${i} ${'a gripping film '.repeat(40)}`]);

describe('on a socket', () => {
  let server: FastifyInstance;
  let url: string;
  let port: number;
  beforeAll(async () => {
    ({ server, url, port } = await listen({ maxWaiting: 300, maxBatchTokens: 64 }));
  });
  afterAll(() => server.close());

  test('of requests that come together each has its own answers', async () => {
    const one: unknown[] = [];
    for (const text of texts) one.push(await predict(url, text));
    const names = ['mood', 'topic'];
    const many = await Promise.all(texts.flatMap((text) => names.map((name) => predict(url, text, name))));
    expect(many.filter((_, i) => i % 2 === 0)).toEqual(one);
  });

  test('a client that hangs up leaves nothing in the queue', async () => {
    const busy = post(`${url}/predict`, { inputs: LONG });
    const gone = new AbortController();
    const body = JSON.stringify({ inputs: LONG });
    const headers = { 'content-type': 'application/json' };
    const others = Promise.allSettled(
      [1, 2].map(() => fetch(`${url}/predict`, { method: 'POST', body, headers, signal: gone.signal })),
    );
    while ((await waitingIn(server)) < 200) await new Promise((resolve) => setTimeout(resolve, 2));
    gone.abort();
    await others;
    // Only what the first client waits for is left.
    const deadline = Date.now() + 5000;
    while ((await waitingIn(server)) > 100 && Date.now() < deadline)
      await new Promise((resolve) => setTimeout(resolve, 2));
    expect(await waitingIn(server)).toBeLessThanOrEqual(100);
    expect((await busy).status).toBe(200);
  });

  test('what the queue can not hold is refused with 429, and what waits beyond its deadline', async () => {
    const busy = Promise.all([1, 2, 3].map(() => post(`${url}/predict`, { inputs: LONG })));
    while ((await waitingIn(server)) < 230) await new Promise((resolve) => setTimeout(resolve, 2));
    const full = await post(`${url}/predict`, { inputs: LONG });
    expect([full.status, full.headers.get('retry-after')]).toEqual([429, '1']);
    expect(await full.json()).toEqual({
      error: expect.stringContaining('there is room for 300'),
      error_type: 'overloaded',
    });
    const late = await post(`${url}/predict`, { inputs: texts[0] }, { 'x-request-timeout-ms': '1' });
    expect(late.status).toBe(429);
    expect((await busy).map(({ status }) => status)).toEqual([200, 200, 200]);
  });

  test('headers without end are cut off, and a body that is announced too large is not read', async () => {
    const socket = net.connect(port, '127.0.0.1');
    socket.on('error', () => {});
    socket.write(`GET /health HTTP/1.1\r\nhost: localhost\r\n${'x: y\r\n'.repeat(10_000)}`);
    const [answer] = (await once(socket, 'data')) as [Buffer];
    expect(answer.toString()).toMatch(/^HTTP\/1\.1 431 /);
    const request = http.request(`${url}/predict`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', 'content-length': 1e9 },
    });
    request.on('error', () => {});
    request.flushHeaders();
    const [response] = (await once(request, 'response')) as [http.IncomingMessage];
    expect(response.statusCode).toBe(413);
    request.destroy();
  });
});

test('closing answers what was accepted, then the port is closed', async () => {
  const { server, url } = await listen({ maxBatchTokens: 64 });
  const [accepted, health] = [post(`${url}/predict`, { inputs: LONG }), `${url}/health`];
  while ((await waitingIn(server)) < 50) await new Promise((resolve) => setTimeout(resolve, 2));
  const closed = server.close();
  const answer = await accepted;
  expect([answer.status, answer.headers.get('connection'), ((await answer.json()) as unknown[]).length]).toEqual([
    200,
    'close',
    100,
  ]);
  await closed;
  await expect(fetch(health)).rejects.toThrow();
});

test('what a client asks wrongly is no error of the log', async () => {
  const lines: { level: number; err?: unknown }[] = [];
  const stream = { write: (line: string) => void lines.push(JSON.parse(line)) };
  const server = await createServer({ adapters: { mood: adapters['mood'] as string }, logger: { stream } });
  const payload = { input: 'a', model: 'mood' };
  const { statusCode } = await server.inject({ method: 'POST', url: '/v1/embeddings', payload });
  expect([statusCode, lines.some(({ level, err }) => level > 30 || err !== undefined)]).toEqual([424, false]);
  await server.close();
});

test('the plugin answers in a service of its owner, whose own routes stay as they are', async () => {
  const app = fastify();
  app.post('/own', async (request) => ({ got: request.body }));
  await app.register(servePlugin, { prefix: '/nlp', model: TINY, adapters, apiKey: 'secret' });
  const headers = { authorization: 'Bearer secret' };
  const payload = { inputs: ['a film'] };
  expect((await app.inject({ method: 'POST', url: '/nlp/predict', payload, headers })).json()).toHaveLength(2);
  expect((await app.inject({ method: 'POST', url: '/nlp/predict', payload })).statusCode).toBe(401);
  expect((await app.inject('/nlp/health')).statusCode).toBe(200);
  // Text bodies, no key and fastify's own errors outside of it.
  const own = { method: 'POST' as const, url: '/own', headers: { 'content-type': 'text/plain' }, payload: 'text' };
  expect((await app.inject(own)).json()).toEqual({ got: 'text' });
  expect((await app.inject('/none')).json()).toMatchObject({ statusCode: 404 });
  await app.close();
});

test('the command listens, answers, and ends with 0 on SIGTERM', async () => {
  const args = [
    'serve',
    '--model',
    TINY,
    '--port',
    '0',
    ...Object.entries(adapters).flatMap(([name, dir]) => ['--adapter', `${name}=${dir}`]),
  ];
  const { child, outcome } = start(args, { input: null });
  let told = '';
  child.stderr!.on('data', (data: Buffer) => {
    told += data.toString();
  });
  while (!/ready at (\S+)/.test(told) && child.exitCode === null)
    await new Promise((resolve) => setTimeout(resolve, 10));
  const url = /ready at (\S+)/.exec(told)![1]!;
  const running = texts.map((text) => predict(url, text));
  await running[0];
  child.kill('SIGTERM');
  const answers = await Promise.allSettled(running);
  const { code, stdout } = await outcome;
  expect(code).toBe(0);
  // Those whose connection was refused after the signal were not accepted; the others have answers.
  const answered = answers.filter(({ status }) => status === 'fulfilled');
  expect(answered.length).toBeGreaterThan(0);
  const lines = stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as { res?: { statusCode: number }; msg: string });
  expect(lines.filter(({ res }) => res?.statusCode === 200).length).toBeGreaterThanOrEqual(1);
  expect(lines.every(({ res }) => res === undefined || [200, 503].includes(res.statusCode))).toBe(true);
});

test('packages that are missing are told with the command that installs them', () => {
  const load = (name: string) => {
    if (name === 'fastify') return {};
    throw Object.assign(new Error(`Cannot find module '${name}'`), { code: 'MODULE_NOT_FOUND' });
  };
  expect(errorMessage('INVALID_ARGUMENT', () => peers(load))).toBe(
    'a server needs packages that are not installed: @fastify/swagger, prom-client. Run: npm install fastify @fastify/swagger prom-client',
  );
});
