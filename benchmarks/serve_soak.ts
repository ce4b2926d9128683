/**
 * A server under more than it can do, for minutes: clients that hang up, adapters loaded and
 * unloaded, SIGTERM at the end. Every answer is held against what the server said when it was idle;
 * 429 is allowed, a wrong or lost answer is not. How fast it is, is serve.ts.
 *
 *     npx tsx benchmarks/serve_soak.ts [--seconds 120]
 */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';
import { parseArgs } from 'node:util';
import { fineTune } from '../src';

const ROOT = path.join(__dirname, '..');
const MODEL = path.join(ROOT, 'assets', 'tiny-roberta');
const CLIENTS = 96;
const TOKEN = 'soak';

interface Answer {
  status: number;
  body: string;
}

async function makeAdapter(folder: string, seed: number): Promise<void> {
  const train = Array.from({ length: 32 }, (_, i) => ({ text: `text number ${i}`, label: i % 2 ? 'odd' : 'even' }));
  const { textModel } = await fineTune({ model: MODEL, train, outputDir: folder, epochs: 1, learningRate: 5e-3, seed });
  textModel.model.dispose();
}

function residentBytes(pid: number): number {
  return 1024 * Number(/VmRSS:\s+(\d+) kB/.exec(fs.readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]);
}

async function main(): Promise<void> {
  const { values } = parseArgs({ options: { seconds: { type: 'string', default: '120' } } });
  const seconds = Number(values.seconds);
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'soak-'));
  const names = ['a', 'b', 'c', 'comes-and-goes'];
  for (const [seed, name] of names.entries()) await makeAdapter(path.join(dir, name), seed);
  const folders = names.slice(0, 3).flatMap((name) => ['--adapter', `${name}=${path.join(dir, name)}`]);
  const args = ['serve', '--model', MODEL, '--port', '0', '--no-log', '--max-waiting', '300', '--adapter-folder', dir];
  const child = fork(path.join(ROOT, 'src', 'cli', 'main.ts'), [...args, ...folders], {
    execArgv: ['--require', 'tsx/cjs'],
    env: { ...process.env, FUSED_LORA_ADMIN_TOKEN: TOKEN },
    stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
  });
  let told = '';
  child.stderr?.on('data', (data: Buffer) => {
    told += data.toString();
  });
  while (!/ready at \S+/.test(told)) {
    if (child.exitCode !== null) throw new Error(told);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  const url = /ready at (\S+)/.exec(told)?.[1];

  const ask = async (route: string, body: object, signal?: AbortSignal): Promise<Answer> => {
    const headers = { 'content-type': 'application/json', authorization: `Bearer ${TOKEN}` };
    const init = { method: 'POST', body: JSON.stringify(body), headers, ...(signal && { signal }) };
    const response = await fetch(`${url}${route}`, init);
    return { status: response.status, body: await response.text() };
  };
  const load = () =>
    ask('/v1/load_lora_adapter', { lora_name: names[3], lora_path: path.join(dir, names[3] as string) });

  const texts = Array.from({ length: 64 }, (_, i) => `a text of ${i} words ${'and more '.repeat(i % 40)}`);
  const bodies = texts.flatMap((text, i) =>
    names.map((model) => ({ model, inputs: [[text], [texts[(i + 7) % 64] as string]] })),
  );
  await load();
  const wanted: string[] = [];
  for (const body of bodies) wanted.push((await ask('/predict', body)).body);

  const counts = { right: 0, refused: 0, 'hung up': 0, 'not there': 0, loads: 0, wrong: 0, lost: 0 };
  let [stopping, next] = [false, 0];
  const client = async () => {
    while (!stopping) {
      const i = next++ % bodies.length;
      const hangUp = next % 17 === 0 ? AbortSignal.timeout(next % 50) : undefined;
      try {
        const { status, body } = await ask('/predict', bodies[i] as object, hangUp);
        if (status === 200 && body === wanted[i]) counts.right++;
        else if (status === 429) counts.refused++;
        else if (status === 404 && i % 4 === 3) counts['not there']++;
        else if (status === 503 && stopping) counts.refused++;
        else {
          counts.wrong++;
          console.error(`wrong: ${status} ${body.slice(0, 200)}`);
        }
      } catch (error) {
        if (hangUp?.aborted) counts['hung up']++;
        // After SIGTERM the port is closed: what was not accepted is refused there.
        else if (!stopping) {
          counts.lost++;
          console.error('lost:', (error as Error).cause ?? error);
        }
      }
    }
  };
  const changes = async () => {
    while (!stopping) {
      await ask('/v1/unload_lora_adapter', { lora_name: names[3] });
      await load();
      counts.loads++;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  };
  const running = [...Array.from({ length: CLIENTS }, client), changes().catch(() => {})];
  const began = Date.now();
  const resident: number[] = [];
  while (Date.now() - began < 1000 * seconds) {
    await new Promise((resolve) => setTimeout(resolve, 500));
    resident.push(residentBytes(child.pid as number));
  }
  // Medians of an eighth: between two collections of garbage it goes up and down by a tenth.
  const eighth = Math.ceil(resident.length / 8);
  const [early, late] = [resident.slice(eighth, 2 * eighth), resident.slice(-eighth)].map(
    (some) => some.sort((a, b) => a - b)[some.length >> 1] as number,
  ) as [number, number];
  stopping = true;
  child.kill('SIGTERM');
  const [code] = (await once(child, 'exit')) as [number | null];
  await Promise.all(running);
  fs.rmSync(dir, { recursive: true });
  const memory = `memory of the last eighth over that of the second: ${(late / early).toFixed(3)} (${(late / 1e6).toFixed(0)} MB)`;
  console.log(`${JSON.stringify(counts)}\n${memory}\nexit code after SIGTERM: ${code}`);
  if (counts.wrong + counts.lost > 0 || code !== 0) process.exitCode = 1;
}

main().catch((error: unknown) => {
  console.error(error);
  process.exitCode = 1;
});
