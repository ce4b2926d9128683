/** The service in a process of its own: batches, order, bounds, reload, bad requests, SIGTERM. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import * as fs from 'node:fs';
import * as http from 'node:http';
import * as path from 'node:path';
import { Classifier, fineTune, openTextModel, type Prediction } from '../../src';
import { temporaryFolder } from '../io/temporary';
import { reviews, TINY } from '../task/tasks';

jest.setTimeout(900_000);

const ROOT = path.join(__dirname, '..', '..');
const dir = temporaryFolder();
const labelNames = ['negative', 'positive'];
let service: ChildProcess;
let url: string;

/** An adapter of another seed, which gives other probabilities. */
async function trainAdapter(folder: string, seed: number): Promise<void> {
  const options = { train: reviews(64, seed), labelNames, outputDir: folder, epochs: 1, learningRate: 2e-3, seed };
  (await fineTune({ model: TINY, ...options })).textModel.model.dispose();
}

async function expected(folder: string, texts: string[]): Promise<Prediction[]> {
  const textModel = await openTextModel(TINY, { task: 'sequence-classification', labelNames, adapter: folder });
  using classifier = new Classifier(textModel);
  return await classifier.predict(texts);
}

const TOKEN = 'a token of this test';
const json = { 'content-type': 'application/json' };
const post = (place: string, body: string, headers: Record<string, string> = json) =>
  fetch(`${url}${place}`, { method: 'POST', body, headers });
const reload = () => post('/reload/main', '', { authorization: `Bearer ${TOKEN}` });
const classify = async (texts: string[]) => {
  const response = await post('/classify/main', JSON.stringify({ texts }));
  return ((await response.json()) as { predictions: Prediction[] }).predictions;
};
const stats = async () =>
  (await (await fetch(`${url}/stats`)).json()) as Record<string, { texts: number; batches: number; loads: number }>;

beforeAll(async () => {
  await trainAdapter(path.join(dir, 'one'), 1);
  await trainAdapter(path.join(dir, 'two'), 2);
  fs.cpSync(path.join(dir, 'one'), path.join(dir, 'main'), { recursive: true });
  const args = ['--port', '0', '--queue', '100', `main=${path.join(dir, 'main')}`, `other=${path.join(dir, 'two')}`];
  service = spawn(process.execPath, ['--require', 'tsx/cjs', path.join(ROOT, 'examples', 'service.ts'), ...args], {
    cwd: ROOT,
    env: { ...process.env, RELOAD_TOKEN: TOKEN },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const [line] = (await once(service.stdout!, 'data')) as [Buffer];
  url = /http:\S+/.exec(line.toString())![0];
});
afterAll(() => service.kill('SIGKILL'));

const texts = reviews(40, 3).map(({ text }) => text);

test('requests that come together are batches, each answered with its own texts in order', async () => {
  const [one, two] = [await expected(path.join(dir, 'one'), texts), await expected(path.join(dir, 'two'), texts)];
  const answers = await Promise.all(texts.map((text) => classify([text])));
  answers.forEach((answer, i) => {
    expect(answer).toHaveLength(1);
    expect(answer[0]!.probability).toBeCloseTo(one[i]!.probability as number, 4);
  });
  const { main } = await stats();
  expect(main!.texts).toBe(40);
  expect(main!.batches).toBeLessThan(40);
  // The other adapter, on the same base model, is undisturbed.
  const other = (await (await post('/classify/other', JSON.stringify({ texts }))).json()) as {
    predictions: Prediction[];
  };
  expect(other.predictions.map(({ label }) => label)).toEqual(two.map(({ label }) => label));
  expect(other.predictions[0]!.probability).toBeCloseTo(two[0]!.probability as number, 4);
});

test('what the queue can not hold is refused, and bad requests are told', async () => {
  const full = await post('/classify/main', JSON.stringify({ texts: new Array(101).fill('a') }));
  expect([full.status, full.headers.get('retry-after')]).toEqual([503, '1']);
  const cases: [string, string, number][] = [
    ['/classify/none', '{"texts": ["a"]}', 404],
    ['/else/main', '', 404],
    ['/classify/main', '{', 400],
    ['/classify/main', '{"texts": []}', 400],
    ['/classify/main', '{"texts": [1]}', 400],
    ['/classify/main', 'x'.repeat(3 << 20), 413],
    ['/classify/main', JSON.stringify({ texts: ['a '.repeat(10_001)] }), 413],
  ];
  for (const [place, body, status] of cases) {
    const response = await post(place, body).catch(() => undefined);
    // A body that is refused half-way may end the connection before the answer is read.
    if (response || status !== 413) expect([place, response?.status]).toEqual([place, status]);
  }
  expect(await classify(['still there'])).toHaveLength(1);
});

/** A request with headers that fetch does not let through. */
function ask(method: string, place: string, headers: http.OutgoingHttpHeaders, body = ''): Promise<number | undefined> {
  return new Promise((resolve, reject) => {
    const request = http.request(`${url}${place}`, { method, headers }, (response) => {
      response.resume();
      resolve(response.statusCode);
    });
    request.on('error', reject).end(body);
  });
}

test('pages in a browser are not served: another Host, an Origin, a form; and no reload without its token', async () => {
  const body = '{"texts": ["a"]}';
  const port = new URL(url).port;
  const cases: [string, string, http.OutgoingHttpHeaders, string, number][] = [
    ['GET', '/stats', { host: 'attacker.example' }, '', 421],
    ['GET', '/stats', { host: `localhost.attacker.example:${port}` }, '', 421],
    ['GET', '/stats', { origin: 'https://attacker.example' }, '', 403],
    ['GET', '/stats', { host: `localhost:${port}` }, '', 200],
    ['POST', '/classify/main', { ...json, origin: url }, body, 403],
    ['POST', '/classify/main', { 'content-type': 'text/plain' }, body, 415],
    ['POST', '/classify/main', {}, body, 415],
    ['POST', '/classify/main', { 'content-type': 'application/json; charset=utf-8' }, body, 200],
    ['POST', '/reload/main', {}, '', 403],
    ['POST', '/reload/main', { authorization: 'Bearer guess' }, '', 403],
  ];
  for (const [method, place, headers, content, status] of cases) {
    const length = { 'content-length': Buffer.byteLength(content) };
    expect([method, place, headers, await ask(method, place, { ...headers, ...length }, content)]).toEqual([
      method,
      place,
      headers,
      status,
    ]);
  }
  expect((await stats())['main']!.loads).toBe(1);
});

test('an adapter is loaded anew while requests go on; one that is damaged leaves the old one at work', async () => {
  const main = path.join(dir, 'main');
  fs.cpSync(path.join(dir, 'two'), main, { recursive: true });
  const [reloaded, ...during] = await Promise.all([reload(), ...texts.map((text) => classify([text]))]);
  expect(await reloaded.json()).toEqual({ loads: 2 });
  expect(during.flat()).toHaveLength(40);
  const two = await expected(path.join(dir, 'two'), texts);
  const now = await classify(texts);
  now.forEach((prediction, i) => {
    expect(prediction.probability).toBeCloseTo(two[i]!.probability as number, 4);
  });
  fs.truncateSync(path.join(main, 'adapter_model.safetensors'), 1000);
  const damaged = await reload();
  expect(damaged.status).toBe(500);
  expect(((await damaged.json()) as { error: string }).error).toContain('adapter_model.safetensors');
  expect((await classify(texts)).map(({ label }) => label)).toEqual(two.map(({ label }) => label));
});

test('SIGTERM answers what was accepted and ends with 0', async () => {
  const before = (await stats())['main']!.texts;
  const running = texts.map((text) => classify([text]));
  while ((await stats())['main']!.texts < before + 40) await new Promise((resolve) => setTimeout(resolve, 5));
  const exit = once(service, 'exit');
  service.kill('SIGTERM');
  const answers = await Promise.allSettled(running);
  expect(answers.filter(({ status }) => status === 'fulfilled')).toHaveLength(40);
  expect(await exit).toEqual([0, null]);
});
