/**
 * Does a second rank cost what a second thread does? Steps of two ranks with a thread each over
 * those of one process with two threads, and the bytes between the ranks.
 * A rank is workers/rank.ts; kills of ranks are scripts/test-mpi.mjs --kills 20.
 *
 *   npm run bench:distributed -- [--quick] [--json FILE]
 */
import { spawnSync } from 'node:child_process';
import * as path from 'node:path';
import { repository } from './lib/folders';
import { main } from './lib/main';
import { compareSamples } from './lib/measure';
import type { Figure, Section } from './lib/result';
import type { RankArguments, RankResult } from './workers/rank';

const WORKER = path.join(repository, 'benchmarks', 'workers', 'rank.ts');
const ALONE = 'one process, 2 threads';
const RANKS = '2 ranks, a thread each';

/** The launcher's command, without the program; undefined where there is none. */
function launcher(): string[] | undefined {
  const { status, stdout } = spawnSync('mpirun', ['--version'], { encoding: 'utf8' });
  if (status !== 0) return undefined;
  const openMpi = ['--allow-run-as-root', '--oversubscribe', '--bind-to', 'none'];
  return ['mpirun', ...(/Open MPI/.test(stdout) ? openMpi : []), '-n', '2'];
}

function run(before: readonly string[], threads: number, args: RankArguments): RankResult {
  const [command, ...rest] = [...before, process.execPath, '--require', 'tsx/cjs', WORKER, JSON.stringify(args)];
  const { status, stdout, stderr } = spawnSync(command as string, rest, {
    cwd: repository,
    encoding: 'utf8',
    env: { ...process.env, FUSED_LORA_THREADS: String(threads) },
  });
  if (status !== 0) throw new Error(`a rank ended with ${status}: ${stderr.slice(-2000)}`);
  return JSON.parse(stdout.trim().split('\n').at(-1) as string) as RankResult;
}

main({
  name: 'distributed',
  question: 'Does a second rank cost what a second thread does?',
  alone: true,
  run: async ({ quick, model = 'roberta-base' }) => {
    const mpirun = launcher();
    const figures: Record<string, Figure> = {};
    const rows: unknown[] = [];
    const table: string[][] = [];
    for (const method of ['lora', 'full'] as const) {
      const name = method === 'lora' ? 'lora' : 'full';
      if (!mpirun) {
        const missing = { missing: 'no mpirun: apt-get install openmpi-bin' };
        Object.assign(figures, { [`distributed.${name}OverThreads`]: missing, [`distributed.${name}Bytes`]: missing });
        continue;
      }
      const common = { model, method, batchSize: 32, steps: quick ? 3 : 12 };
      const samples: Record<typeof ALONE | typeof RANKS, number[]> = { [ALONE]: [], [RANKS]: [] };
      let ranks: RankResult | undefined;
      for (let round = 0; round < (quick ? 1 : 5); round++) {
        samples[ALONE].push(run([], 2, { ...common, distributed: 'none' }).secondsPerStep);
        ranks = run(mpirun, 1, { ...common, distributed: 'mpi' });
        samples[RANKS].push(ranks.secondsPerStep);
      }
      const timings = compareSamples(samples);
      const { sentBytes, gradientBytes } = ranks as RankResult;
      // Of two ranks each sends half of its gradients, and its half of the sum.
      const bytes = sentBytes / gradientBytes;
      figures[`distributed.${name}OverThreads`] = 1 / timings[RANKS].ratio;
      figures[`distributed.${name}Bytes`] = bytes;
      rows.push({ model, method, timings, sentBytes, gradientBytes });
      table.push([
        method,
        ...[ALONE, RANKS].map((side) => timings[side as typeof ALONE].median.toFixed(3)),
        (1 / timings[RANKS].ratio).toFixed(3),
        (sentBytes / 1e6).toFixed(2),
        bytes.toFixed(3),
      ]);
    }
    const section: Section = {
      title: `${model}, batches of 32 with SST-2's lengths`,
      note: 'Seconds a step, medians of rounds in turns. MB that a rank sends a step, and that over the least there is.',
      header: ['method', ALONE, RANKS, 'speed', 'MB', 'over least'],
      rows: table,
    };
    return { peers: {}, figures, sections: [section], rows };
  },
});
