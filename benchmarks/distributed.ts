/**
 * Does a second rank cost what a second thread does? Steps of two ranks with a thread each over
 * those of one process with two threads, and over two ranks of PyTorch's DDP; the bytes between.
 * A rank is workers/rank.ts, of PyTorch peers/torch_ddp.py; kills: scripts/test-mpi.mjs --kills 20.
 *
 *   npm run bench:distributed -- [--quick] [--model NAME] [--json FILE]
 */
import { type SpawnSyncReturns, spawn, spawnSync } from 'node:child_process';
import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';
import { sentences, sst2Lengths } from './lib/batches';
import { repository } from './lib/folders';
import { main } from './lib/main';
import { compareSamples } from './lib/measure';
import { adapterFolder, type ModelName, modelFolder } from './lib/models';
import { type Benchmark, type Figure, isMissing, type Missing, type Section } from './lib/result';
import { blasEnvironment, chooseBlas, peersFolder, peersPython } from './lib/torch_blas';
import { LORA, type RankArguments, type RankResult, WARMUP } from './workers/rank';

const WORKER = path.join(repository, 'benchmarks', 'workers', 'rank.ts');
const ALONE = 'one process, 2 threads';
const RANKS = '2 ranks, a thread each';
const PEER = 'PyTorch DDP, 2 ranks';
type Side = typeof ALONE | typeof RANKS | typeof PEER;

/** The launcher's command, without the program; undefined where there is none. */
function launcher(): string[] | undefined {
  const { status, stdout } = spawnSync('mpirun', ['--version'], { encoding: 'utf8', env: process.env });
  if (status !== 0) return undefined;
  const openMpi = ['--allow-run-as-root', '--oversubscribe', '--bind-to', 'none'];
  return ['mpirun', ...(/Open MPI/.test(stdout) ? openMpi : []), '-n', '2'];
}

function resultOf<R>({ status, stdout, stderr }: Pick<SpawnSyncReturns<string>, 'status' | 'stdout' | 'stderr'>): R {
  if (status !== 0) throw new Error(`a rank ended with ${status}: ${stderr.slice(-2000)}`);
  return JSON.parse(stdout.trim().split('\n').at(-1) as string) as R;
}

function run(before: readonly string[], threads: number, args: RankArguments): RankResult {
  const [command, ...rest] = [...before, process.execPath, '--require', 'tsx/cjs', WORKER, JSON.stringify(args)];
  const env = { ...process.env, FUSED_LORA_THREADS: String(threads) };
  return resultOf(spawnSync(command as string, rest, { cwd: repository, encoding: 'utf8', env }));
}

/** The peer as a function that runs it once and gives the seconds of a step. */
async function peer(args: RankArguments, folder: string): Promise<(() => Promise<number>) | Missing> {
  const python = peersPython();
  if (isMissing(python)) return python;
  const blas = await chooseBlas();
  if (isMissing(blas)) return blas;
  const { model, method, batchSize, steps } = args;
  // Sorted by length, as ours are: batches without padding are its fastest.
  const sorted = sentences(model, sst2Lengths(batchSize * steps)).sort((a, b) => a.ids.length - b.ids.length);
  const batches = Array.from({ length: steps }, (_, i) => sorted.slice(i * batchSize, (i + 1) * batchSize));
  const file = path.join(folder, `${method}.json`);
  const adapter = method === 'lora' ? adapterFolder(model, LORA) : undefined;
  fs.writeFileSync(file, JSON.stringify({ folder: modelFolder(model), adapter, method, batches, warmup: WARMUP }));
  let port = 29_500;
  return async () => {
    port++;
    const ranks = [0, 1].map((rank) => {
      const place = { RANK: `${rank}`, WORLD_SIZE: '2', MASTER_ADDR: '127.0.0.1', MASTER_PORT: `${port}` };
      const env = { ...process.env, ...blasEnvironment(blas.blas, python, false), ...place, OMP_NUM_THREADS: '1' };
      const child = spawn(python, [path.join(peersFolder, 'torch_ddp.py'), file], { env });
      let [stdout, stderr] = ['', ''];
      child.stdout.on('data', (data: Buffer) => (stdout += data));
      child.stderr.on('data', (data: Buffer) => (stderr += data));
      return new Promise<{ status: number | null; stdout: string; stderr: string }>((resolve) => {
        child.on('close', (status) => resolve({ status, stdout, stderr }));
      });
    });
    const [first] = await Promise.all(ranks);
    return resultOf<{ secondsPerStep: number }>(first as Awaited<(typeof ranks)[0]>).secondsPerStep;
  };
}

interface Compared {
  figures: Record<string, Figure>;
  row: unknown;
  cells: string[];
}

async function compare(
  args: Omit<RankArguments, 'distributed'>,
  mpirun: readonly string[],
  rounds: number,
  folder: string,
): Promise<Compared> {
  const { method } = args;
  const ddp = await peer({ ...args, distributed: 'none' }, folder);
  const samples: Partial<Record<Side, number[]>> = { [ALONE]: [], [RANKS]: [], ...(!isMissing(ddp) && { [PEER]: [] }) };
  let ranks: RankResult | undefined;
  for (let round = 0; round < rounds; round++) {
    samples[ALONE]!.push(run([], 2, { ...args, distributed: 'none' }).secondsPerStep);
    ranks = run(mpirun, 1, { ...args, distributed: 'mpi' });
    samples[RANKS]!.push(ranks.secondsPerStep);
    if (!isMissing(ddp)) samples[PEER]!.push(await ddp());
  }
  const timings = compareSamples(samples as Record<Side, number[]>);
  const { sentBytes, gradientBytes } = ranks as RankResult;
  const overThreads = 1 / timings[RANKS].ratio;
  const overPeer = isMissing(ddp) ? ddp : timings[PEER].ratio / timings[RANKS].ratio;
  // Of two ranks each sends half of its gradients, and its half of the sum.
  const bytes = sentBytes / gradientBytes;
  return {
    figures: {
      [`distributed.${method}OverThreads`]: overThreads,
      [`distributed.${method}OverPeer`]: overPeer,
      [`distributed.${method}Bytes`]: bytes,
    },
    row: { ...args, timings, sentBytes, gradientBytes },
    cells: [
      method,
      ...[ALONE, RANKS, PEER].map((side) => timings[side as Side]?.median.toFixed(3) ?? '–'),
      overThreads.toFixed(3),
      isMissing(overPeer) ? '–' : overPeer.toFixed(2),
      (sentBytes / 1e6).toFixed(2),
      bytes.toFixed(3),
    ],
  };
}

export const benchmark: Benchmark = {
  name: 'distributed',
  question: 'Does a second rank cost what a second thread does?',
  alone: true,
  run: async ({ quick, model = 'roberta-base' as ModelName }) => {
    const mpirun = launcher();
    const missing = { missing: 'no mpirun: apt-get install openmpi-bin' };
    const figures: Record<string, Figure> = {};
    const compared: Compared[] = [];
    const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'bench-distributed-'));
    try {
      for (const method of ['lora', 'full'] as const) {
        if (!mpirun) {
          for (const what of ['OverThreads', 'OverPeer', 'Bytes']) figures[`distributed.${method}${what}`] = missing;
          continue;
        }
        const args = { model, method, batchSize: 32, steps: quick ? 3 : 12 };
        compared.push(await compare(args, mpirun, quick ? 1 : 5, folder));
        Object.assign(figures, compared.at(-1)?.figures);
      }
    } finally {
      fs.rmSync(folder, { recursive: true });
    }
    const section: Section = {
      title: `${model}, fp32, batches of 32 with SST-2's lengths, sorted by length`,
      note: 'Seconds a step, medians of rounds in turns. MB that a rank sends a step, and that over the least there is.',
      header: ['method', ALONE, RANKS, PEER, 'over threads', 'over DDP', 'MB', 'over least'],
      rows: compared.map(({ cells }) => cells),
    };
    return { peers: {}, figures, sections: [section], rows: compared.map(({ row }) => row) };
  },
};

if (require.main === module) main(benchmark);
