/**
 * A long-running service: the base model and its adapters are loaded once and answer over HTTP, in
 * batches of what waits together. The queue is bounded, an adapter can be loaded anew while the
 * service runs, and SIGTERM answers what was accepted before it ends.
 * What it serves when no adapter is given: served_adapter.ts.
 *
 *     npx tsx examples/service.ts [--port N] [--queue N] [--host NAME …] [NAME=ADAPTER_FOLDER …]
 *
 * Without a folder a small adapter is trained first.
 *
 *     curl localhost:8080/classify/reviews --json '{"texts": ["what a lovely film"]}'
 *     curl -X POST localhost:8080/reload/reviews -H "authorization: Bearer $RELOAD_TOKEN"
 *     curl localhost:8080/stats
 *
 * Who may ask: programs on this machine, by its own names or those of --host. Pages that somebody
 * has open in a browser here may not: their requests come with an Origin, or with another Host, or
 * as a form. To load an adapter anew takes the token of the variable RELOAD_TOKEN.
 */
import { createHash, timingSafeEqual } from 'node:crypto';
import * as fs from 'node:fs';
import * as http from 'node:http';
import type { AddressInfo } from 'node:net';
import * as os from 'node:os';
import * as path from 'node:path';
import { parseArgs } from 'node:util';
// In your program all of these come from 'fused-lora'.
import { fineTune, openTextModel } from '../src';
import { makeSentimentTask } from './sentiment_grammar';
import { QueueFull, ServedAdapter } from './served_adapter';

const ENCODER = path.join(__dirname, '..', 'assets', 'tiny-roberta');
const LABELS = ['negative', 'positive'];
/** Of a request. */
const MOST_BYTES = 1 << 20;
/** Of a text: what is longer holds up all others while it is cut into tokens. */
const MOST_CHARACTERS = 20_000;
const OWN_NAMES = ['localhost', '127.0.0.1', '[::1]'];

class HttpError extends Error {
  constructor(
    readonly status: number,
    message: string,
  ) {
    super(message);
  }
}

/** Refuses what comes from a page in a browser, or under a name that is not ours. */
function checkSender(request: http.IncomingMessage, names: readonly string[]): void {
  const { host = '', origin, 'content-type': type = '' } = request.headers;
  const name = URL.canParse(`http://${host}`) ? new URL(`http://${host}`).hostname : '';
  if (!names.includes(name)) throw new HttpError(421, 'this service is not of that name; see --host');
  if (origin !== undefined) throw new HttpError(403, 'pages of a browser may not ask this service');
  if (request.method === 'POST' && Number(request.headers['content-length'] ?? 1) > 0) {
    const json = /^application\/json\s*(;|$)/i.test(type);
    if (!json) throw new HttpError(415, 'the body must be application/json');
  }
}

/** Whether a request has the token that RELOAD_TOKEN says; without that variable none has. */
function mayReload({ headers: { authorization = '' } }: http.IncomingMessage): boolean {
  const token = process.env['RELOAD_TOKEN'];
  if (!token) return false;
  const [given, wanted] = [authorization, `Bearer ${token}`].map((text) => createHash('sha256').update(text).digest());
  return timingSafeEqual(given as Buffer, wanted as Buffer);
}

/** The texts of a request's body. */
async function textsOf(request: http.IncomingMessage): Promise<string[]> {
  const pieces: Buffer[] = [];
  let bytes = 0;
  for await (const piece of request as AsyncIterable<Buffer>) {
    bytes += piece.length;
    if (bytes > MOST_BYTES) throw new HttpError(413, `the body has more than ${MOST_BYTES} bytes`);
    pieces.push(piece);
  }
  let body: unknown;
  try {
    body = JSON.parse(Buffer.concat(pieces).toString());
  } catch {
    // Told below.
  }
  const texts = (body as { texts?: unknown } | null | undefined)?.texts;
  if (Array.isArray(texts) && texts.length > 0 && texts.every((text) => typeof text === 'string')) {
    if (texts.every((text) => text.length <= MOST_CHARACTERS)) return texts;
    throw new HttpError(413, `a text has more than ${MOST_CHARACTERS} characters`);
  }
  throw new HttpError(400, 'the body must be {"texts": ["…"]}');
}

async function answer(
  request: http.IncomingMessage,
  adapters: ReadonlyMap<string, ServedAdapter>,
  names: readonly string[],
): Promise<object> {
  checkSender(request, names);
  const [, action, id = ''] = new URL(request.url ?? '/', 'http://localhost').pathname.split('/');
  if (action === 'stats') return Object.fromEntries([...adapters].map(([name, { stats }]) => [name, stats]));
  const adapter = adapters.get(id);
  if (!adapter) throw new HttpError(404, `there is no adapter "${id}"; there are ${[...adapters.keys()].join(', ')}`);
  if (request.method !== 'POST') throw new HttpError(405, 'use POST');
  if (action === 'classify') return { predictions: await adapter.classify(await textsOf(request)) };
  if (action !== 'reload') throw new HttpError(404, 'there are /classify/NAME, /reload/NAME and /stats');
  if (!mayReload(request)) throw new HttpError(403, 'needs the token of RELOAD_TOKEN, as authorization: Bearer TOKEN');
  await adapter.reload();
  return { loads: adapter.stats.loads };
}

/** An adapter to show the service with. */
async function trainSmallAdapter(folder: string): Promise<void> {
  const train = makeSentimentTask().train.slice(0, 320);
  const { textModel } = await fineTune({ model: ENCODER, train, labelNames: LABELS, outputDir: folder, epochs: 1 });
  textModel.model.dispose();
}

async function main(): Promise<void> {
  const { values, positionals } = parseArgs({
    options: {
      port: { type: 'string', default: '8080' },
      queue: { type: 'string', default: '1000' },
      host: { type: 'string', multiple: true, default: [] },
    },
    allowPositionals: true,
  });
  const folders = positionals.map((argument) => argument.split('=') as [string, string]);
  if (folders.length === 0) {
    const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'service-'));
    await trainSmallAdapter(folder);
    folders.push(['reviews', folder]);
  }
  const textModel = await openTextModel(ENCODER, { task: 'sequence-classification', labelNames: LABELS });
  const adapters = new Map<string, ServedAdapter>();
  for (const [id, folder] of folders) adapters.set(id, new ServedAdapter(textModel, id, folder, Number(values.queue)));

  const names = [...OWN_NAMES, ...values.host];
  const server = http.createServer((request, response) => {
    const reply = (status: number, body: object) => {
      if (status === 503) response.setHeader('retry-after', '1');
      // What is left of a body that was refused must not be taken for the next request.
      if (request.method === 'POST' && status >= 400 && status !== 503) response.setHeader('connection', 'close');
      else if (!server.listening) response.setHeader('connection', 'close');
      response.writeHead(status, { 'content-type': 'application/json' }).end(`${JSON.stringify(body)}\n`);
    };
    answer(request, adapters, names).then(
      (body) => reply(200, body),
      (error: Error) => {
        const status = error instanceof HttpError ? error.status : error instanceof QueueFull ? 503 : 500;
        reply(status, { error: error.message });
      },
    );
  });
  // Longer than proxies and clients keep idle connections, so that none is closed here in the
  // moment in which it is used again.
  server.keepAliveTimeout = 65_000;
  const stop = () => {
    // No new connections; the callback comes when the last answer is out.
    server.close(async () => {
      for (const adapter of adapters.values()) await adapter.close();
      textModel.model.dispose();
      console.log('stopped');
    });
  };
  process.once('SIGTERM', stop);
  process.once('SIGINT', stop);
  server.listen(Number(values.port), '127.0.0.1', () => {
    console.log(`listening on http://127.0.0.1:${(server.address() as AddressInfo).port}`);
  });
}

main().catch((error: unknown) => {
  console.error(error);
  process.exitCode = 1;
});
