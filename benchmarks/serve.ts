/**
 * What does HTTP cost? A server's texts a second against the same process without HTTP, one text a
 * request and 16, with one adapter and with eight, in turns; against a server that pads its batches
 * for onnxruntime, as text-embeddings-inference does; what a request waits while the same process
 * trains; and how long `fused-lora serve` of the built package takes to start. The servers are
 * workers/http_server.ts and peers/onnxruntime_server.mjs; autocannon asks them from this process,
 * on the same cores.
 */
import { type ChildProcess, fork, spawn } from 'node:child_process';
import { once } from 'node:events';
import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';
import { addAdapter, loadModel, loadTokenizer, saveAdapter } from '../src';
import { generator, sst2Lengths } from './lib/batches';
import { cacheFolder, repository } from './lib/folders';
import { main } from './lib/main';
import { quantile } from './lib/measure';
import { ALL_LINEARS, configOfModel, modelFolder } from './lib/models';
import { onnxFolder } from './lib/onnx';
import { type Benchmark, type Figure, isMissing, type Missing, type Section } from './lib/result';
import { peersFolder } from './lib/torch_blas';

const ADAPTERS = 8;
/** Texts that are asked for at once. */
const CLIENTS = 64;
const TEXTS = 256;
/** Texts of a padded batch: what text-embeddings-inference has for onnxruntime; all clients. */
const PADDED_BATCHES = [8, CLIENTS] as const;

interface Hit {
  '2xx': number;
  non2xx: number;
  latency: { p50: number; p99: number };
}
type Asking = Promise<Hit> & { on(event: 'start' | 'response', listener: () => void): Asking };
const autocannon = require('autocannon') as (options: object) => Asking;

/** A MiniLM with random weights, the tokenizer of the tiny encoder, and adapters on all linears. */
function makeFolders(): { model: string; adapters: Record<string, string> } {
  const model = path.join(cacheFolder, 'serve', 'minilm');
  const names = Array.from({ length: ADAPTERS }, (_, i) => `adapter${i}`);
  const adapters = Object.fromEntries(names.map((name) => [name, path.join(cacheFolder, 'serve', name)]));
  if (!fs.existsSync(model)) {
    fs.cpSync(modelFolder('minilm'), model, { recursive: true });
    const tiny = path.join(__dirname, '..', 'assets', 'tiny-roberta');
    for (const file of ['tokenizer.json', 'tokenizer_config.json'])
      fs.copyFileSync(path.join(tiny, file), path.join(model, file));
  }
  for (const [seed, [, folder]] of Object.entries(adapters).entries()) {
    if (fs.existsSync(folder)) continue;
    const { model: base } = loadModel(model, { task: 'sequence-classification', labelNames: ['negative', 'positive'] });
    addAdapter(base, ALL_LINEARS, { seed });
    for (const [at, parameter] of base.namedParameters()) {
      if (!at.includes('.lora_B.')) continue;
      parameter.setData(Float32Array.from({ length: parameter.count }, (_, i) => 0.01 * Math.sin(i + at.length)));
    }
    saveAdapter(base, folder, { baseModel: model });
    base.dispose();
  }
  return { model, adapters };
}

/** Texts with SST-2's lengths in tokens, of words that are one token each. */
function makeTexts(model: string): string[] {
  const tokenizer = loadTokenizer(model);
  const words = 'the a of and to is in it that film this movie with for but an story very good not'.split(' ');
  const single = words.filter((word) => tokenizer.textIds(` ${word}`).length === 1);
  const random = generator(3);
  return sst2Lengths(TEXTS, 3).map((length) =>
    Array.from({ length: Math.max(1, length - 2) }, () => single[Math.floor(random() * single.length)]).join(' '),
  );
}

interface Server {
  child: ChildProcess;
  url: string;
}

/** Seconds from the call of `fused-lora serve`, as users have it, until it is ready. */
async function startSeconds(model: string, adapter: string): Promise<number> {
  const command = [path.join(repository, 'dist', 'cli', 'main.js'), 'serve', '--model', model, '--port', '0'];
  const began = performance.now();
  const child = spawn(process.execPath, [...command, '--adapter', `a=${adapter}`], {
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  let said = '';
  for await (const chunk of child.stderr) {
    said += chunk;
    if (said.includes('ready at')) break;
  }
  const seconds = (performance.now() - began) / 1000;
  child.kill();
  if (!said.includes('ready at')) throw new Error(`the server did not start: ${said}`);
  return seconds;
}

async function startServer(model: string, adapters: Record<string, string>, texts: string[]): Promise<Server> {
  const child = fork(path.join(__dirname, 'workers', 'http_server.ts'), [JSON.stringify({ model, adapters, texts })], {
    execArgv: ['--require', 'tsx/cjs'],
  });
  const [{ url }] = (await once(child, 'message')) as [{ url: string }];
  return { child, url };
}

interface Peer extends Server {
  version: string;
}

/** The padded servers by the most texts of a batch, from the same weights. */
async function startPeers(model: string): Promise<Map<number, Peer> | Missing> {
  if (!fs.existsSync(path.join(peersFolder, 'node_modules', 'onnxruntime-node')))
    return { missing: 'the Node peers are not set up (npm run bench:peers)' };
  const onnx = onnxFolder('minilm');
  if (isMissing(onnx)) return onnx;
  const peers = new Map<number, Peer>();
  for (const mostTexts of PADDED_BATCHES) {
    const options = { onnx, tokenizer: model, labels: ['negative', 'positive'], mostTexts };
    const settings = { ...options, pad: configOfModel('minilm').pad_token_id, threads: os.availableParallelism() };
    const child = fork(path.join(peersFolder, 'onnxruntime_server.mjs'), [JSON.stringify(settings)], {
      execArgv: ['--import', 'tsx'],
    });
    const [{ url, version }] = (await once(child, 'message')) as [Peer];
    peers.set(mostTexts, { child, url, version });
  }
  return peers;
}

/** Both answer alike, or their times mean nothing. */
async function compareAnswers(ours: Server, peer: Server, texts: readonly string[]): Promise<void> {
  type Scores = { label: string; score: number }[];
  const ask = async ({ url }: Server, body: object): Promise<number> => {
    const init = { method: 'POST', body: JSON.stringify(body), headers: { 'content-type': 'application/json' } };
    const scores = (await (await fetch(`${url}/predict`, init)).json()) as Scores;
    return Math.max(...scores.map(({ score }) => score));
  };
  for (const inputs of texts) {
    const [a, b] = [await ask(ours, { inputs, model: 'minilm' }), await ask(peer, { inputs })];
    if (!(Math.abs(a - b) < 1e-3)) throw new Error(`the servers differ: ${a} and ${b} for "${inputs}"`);
  }
}

async function inProcess({ child }: Server, count: number): Promise<number> {
  child.send({ inProcess: count });
  const [{ textsPerSecond }] = (await once(child, 'message')) as [{ textsPerSecond: number }];
  return textsPerSecond;
}

/** Texts a second, and what a request waited in ms. */
async function overHttp(
  { url }: Pick<Server, 'url'>,
  texts: string[],
  names: string[],
  perRequest: number,
  count: number,
  connections = Math.max(4, CLIENTS / perRequest),
) {
  const requests = Array.from({ length: texts.length / perRequest }, (_, i) => ({
    method: 'POST',
    path: '/predict',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({
      model: names[i % names.length],
      inputs: texts.slice(i * perRequest, (i + 1) * perRequest).map((text) => [text]),
    }),
  }));
  const before = process.cpuUsage();
  let [began, ended] = [Number.NaN, Number.NaN];
  // Its own `finish` is the next full second after the last answer.
  const hit = await autocannon({ url, connections, amount: count / perRequest, requests })
    .on('start', () => {
      began = performance.now();
    })
    .on('response', () => {
      ended = performance.now();
    });
  const used = process.cpuUsage(before);
  const seconds = (ended - began) / 1000;
  if (hit.non2xx > 0) throw new Error(`${hit.non2xx} answers were errors`);
  return {
    textsPerSecond: (hit['2xx'] * perRequest) / seconds,
    ...{ p50: hit.latency.p50, p99: hit.latency.p99 },
    /** Cores that the asking itself took. */
    asking: (used.user + used.system) / 1e6 / seconds,
  };
}

/** What a request waits with and without a run of training in the server's process. */
async function besideTraining(server: Server, texts: string[], name: string, rounds: number, count: number) {
  const ask = () => overHttp(server, texts, [name], 1, count, 4);
  const turns = async () => {
    const all = [];
    for (let round = 0; round < rounds; round++) all.push(await ask());
    return all;
  };
  const idle = await turns();
  server.child.send({ train: true });
  await once(server.child, 'message');
  const busy = await turns();
  server.child.send({ train: false });
  await once(server.child, 'message');
  return { idle, busy };
}

const paddedName = (mostTexts: number) => `onnxruntime, padded batches of at most ${mostTexts}`;

const median = (values: number[]) =>
  quantile(
    [...values].sort((a, b) => a - b),
    0.5,
  );

export const benchmark: Benchmark = {
  name: 'serve',
  question: 'What does HTTP cost, eight adapters over one, and padded batches over ours?',
  alone: true,
  async run({ quick }) {
    const [rounds, count] = quick ? [3, 512] : [7, 2048];
    const { model, adapters } = makeFolders();
    const texts = makeTexts(model);
    const names = Object.keys(adapters);
    const [first] = names as [string];
    const starts: number[] = [];
    for (let i = 0; i < rounds; i++) starts.push(await startSeconds(model, adapters[first] as string));
    const alone = await startServer(model, { [first]: adapters[first] as string }, texts);
    const many = await startServer(model, adapters, texts);
    const peers = await startPeers(model);
    const padded = isMissing(peers) ? [] : [...peers];
    for (const [, peer] of padded) await compareAnswers(alone, peer, texts.slice(0, 16));
    const sides: Record<string, () => ReturnType<typeof overHttp>> = {
      'no HTTP': async () => ({ textsPerSecond: await inProcess(alone, count), p50: 0, p99: 0, asking: 0 }),
      'HTTP, a text a request': () => overHttp(alone, texts, [first], 1, count),
      'HTTP, 16 texts a request': () => overHttp(alone, texts, [first], 16, count),
      'HTTP, a text a request, 8 adapters': () => overHttp(many, texts, names, 1, count),
      ...Object.fromEntries(
        padded.map(([most, peer]) => [paddedName(most), () => overHttp(peer, texts, [first], 1, count)]),
      ),
    };
    const rows: Record<string, Awaited<ReturnType<typeof overHttp>>[]> = {};
    for (const side of Object.values(sides)) await side();
    for (let round = 0; round < rounds; round++) {
      for (const [name, side] of Object.entries(sides)) rows[name] = [...(rows[name] ?? []), await side()];
    }
    const training = await besideTraining(alone, texts, first, rounds, count / 8);
    for (const { child } of [alone, many, ...padded.map(([, peer]) => peer)]) {
      child.send({ stop: true });
      await once(child, 'exit');
    }
    const of = (name: string, what: 'textsPerSecond' | 'p50' | 'p99' | 'asking') =>
      (rows[name] ?? []).map((row) => row[what]);
    // Round by round, so that a drift of the machine meets both.
    const over = (side: string, other: string, what: 'textsPerSecond' | 'p99' = 'textsPerSecond') => {
      const others = of(other, what);
      return median(of(side, what).map((value, i) => value / (others[i] as number)));
    };
    const one = 'HTTP, a text a request';
    // Of the padded servers the one that does best at what is compared.
    const overPadded = (what: 'textsPerSecond' | 'p99', best: (...values: number[]) => number): Figure =>
      isMissing(peers) ? peers : best(...PADDED_BATCHES.map((most) => over(one, paddedName(most), what)));
    const figures: Record<string, Figure> = {
      'serve.oneTextOverInProcess': over('HTTP, a text a request', 'no HTTP'),
      'serve.sixteenTextsOverInProcess': over('HTTP, 16 texts a request', 'no HTTP'),
      'serve.eightAdaptersOverOne': over('HTTP, a text a request, 8 adapters', one),
      'serve.requestsOverPadded': overPadded('textsPerSecond', Math.min),
      'serve.p99OverPadded': overPadded('p99', Math.max),
      'serve.p99BesideTraining': median(training.busy.map(({ p99 }) => p99)),
      'serve.startSeconds': median(starts),
    };
    const section: Section = {
      title: `MiniLM, SST-2's lengths`,
      note: `medians of ${rounds} turns of ${count} texts; ${CLIENTS} texts are asked for at once; asking: cores that autocannon took of the same machine`,
      header: ['side', 'over no HTTP', 'texts/s', 'p50 ms', 'p99 ms', 'asking'],
      rows: Object.keys(sides).map((name) => [
        name,
        over(name, 'no HTTP').toFixed(3),
        median(of(name, 'textsPerSecond')).toFixed(0),
        median(of(name, 'p50')).toFixed(1),
        median(of(name, 'p99')).toFixed(1),
        median(of(name, 'asking')).toFixed(2),
      ]),
    };
    const waits: Section = {
      title: 'while the same process trains',
      note: `4 clients, a text a request; beside them MiniLM is trained in batches of 32`,
      header: ['', 'texts/s', 'p50 ms', 'p99 ms'],
      rows: Object.entries(training).map(([name, some]) => [
        { idle: 'no training', busy: 'training' }[name] as string,
        median(some.map(({ textsPerSecond }) => textsPerSecond)).toFixed(0),
        median(some.map(({ p50 }) => p50)).toFixed(0),
        median(some.map(({ p99 }) => p99)).toFixed(0),
      ]),
    };
    const versions = isMissing(peers) ? peers : { 'onnxruntime-node': padded[0]?.[1].version };
    return {
      peers: { padded: versions },
      figures,
      sections: [section, waits],
      rows: [rows, training, { starts }],
    };
  },
};

if (require.main === module) main(benchmark);
