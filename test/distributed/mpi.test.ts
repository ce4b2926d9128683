/**
 * The command line on two ranks of a real MPI, where one is installed: the bytes of one process
 * with two shares, errors told once, a rank killed. All makes of MPI: scripts/test-mpi.mjs.
 */
import { spawn, spawnSync } from 'node:child_process';
import * as fs from 'node:fs';
import * as path from 'node:path';
import { parse } from 'yaml';
import { trainCommand } from '../../src/cli/train';
import { makeFiles, run } from '../cli/command';
import { commandLine } from '../cli/program';
import { temporaryFolder } from '../io/temporary';

const dir = temporaryFolder();
const { model, train, dev } = makeFiles(dir);
const at = (name: string) => path.join(dir, name);

const found = spawnSync('mpirun', ['--version'], { encoding: 'utf8' });
const isThere = found.status === 0;
const isOpenMpi = /Open MPI/.test(found.stdout ?? '');
if (!isThere) console.warn('skipped: ranks on MPI need mpirun (apt-get install openmpi-bin)');

interface Ended {
  code: number | null;
  output: string;
  seconds: number;
}

/** The command line. @param onOutput told what they print, as it comes. */
function ranks(count: number, args: readonly string[], env: NodeJS.ProcessEnv = {}, onOutput?: (text: string) => void) {
  return mpirun(count, [...commandLine(), ...args], env, onOutput);
}

/** @param args of Node. */
function mpirun(
  count: number,
  args: readonly string[],
  env: NodeJS.ProcessEnv = {},
  onOutput?: (text: string) => void,
) {
  const options = isOpenMpi ? ['--allow-run-as-root', '--oversubscribe', '--bind-to', 'none'] : [];
  const began = performance.now();
  const child = spawn('mpirun', [...options, '-n', String(count), process.execPath, ...args], {
    env: { ...process.env, NODE_OPTIONS: '', FUSED_LORA_THREADS: '1', ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (data: Buffer) => {
      output += data.toString();
      onOutput?.(data.toString());
    });
  }
  return new Promise<Ended>((resolve) => {
    child.on('close', (code) => resolve({ code, output, seconds: (performance.now() - began) / 1000 }));
  });
}

const common = ['train', '--model', model, '--train', train, '--dev', dev, '--device', 'cpu', '--batch-size', '16'];
const bytesOf = (name: string) => fs.readFileSync(path.join(at(name), 'adapter_model.safetensors'));

(isThere ? describe : describe.skip)('two ranks on MPI', () => {
  it('write the bytes of one process with two shares, once, and say so once', async () => {
    const steps = ['--max-steps', '6', '--checkpoint-every', '3'];
    const [two, one] = await Promise.all([
      ranks(2, [...common, ...steps, '--output', at('two')]),
      run([...common, ...steps, '--shares', '2', '--output', at('one')]),
    ]);
    expect([two.code, two.output]).toEqual([0, expect.stringContaining('distributed: rank 0 of 2')]);
    expect(one.code).toBe(0);
    expect(bytesOf('two').equals(bytesOf('one'))).toBe(true);
    expect(two.output.match(/adapter written to/g)).toHaveLength(1);
    const metrics = (text: string) => /accuracy [\d.]+.*/.exec(text)?.[0];
    expect(metrics(two.output)).toBe(metrics(one.stdout));
  });

  it('divide the optimizer step of a whole model, and checkpoints have the moments of all', async () => {
    const tiny = path.join(__dirname, '..', '..', 'assets', 'tiny-roberta');
    const full = ['train', '--model', tiny, '--method', 'full', '--train', train, '--device', 'cpu'];
    const steps = ['--max-length', '32', '--max-steps', '4', '--checkpoint-every', '2', '--output'];
    const [two, one] = await Promise.all([
      ranks(2, [...full, ...steps, at('full-two')]),
      run([...full, ...steps, at('full-one'), '--shares', '2']),
    ]);
    expect([two.code, one.code]).toEqual([0, 0]);
    for (const file of ['trainable.safetensors', 'optimizer.safetensors']) {
      const read = (name: string) => fs.readFileSync(path.join(at(name), 'checkpoint-4', file));
      expect([file, read('full-two').equals(read('full-one'))]).toEqual([file, true]);
    }
  });

  it('say once what all of them find wrong, and what one alone has', async () => {
    const missing = await ranks(2, [...common.slice(0, 3), '--train', at('no.tsv'), '--output', at('wrong')]);
    expect(missing.output.match(/error \[FILE_NOT_FOUND\]/g)).toHaveLength(1);
    // Folders of rank 0 alone: the other ends with it.
    fs.writeFileSync(at('file'), '');
    const first = await ranks(2, [...common, '--output', at('file')]);
    expect(first.output.match(/error \[/g)).toHaveLength(1);
    const without = await ranks(2, [...common, '--output', at('wrong')], { FUSED_LORA_MPI: at('no-libmpi.so') });
    expect(without.output.match(/error \[MPI_UNAVAILABLE\]/g)).toHaveLength(1);
    for (const { code, seconds } of [missing, first, without]) {
      expect(code).not.toBe(0);
      expect(seconds).toBeLessThan(30);
    }
  });

  it('end when one of them hangs, and go on from the checkpoint to the same bytes', async () => {
    const steps = ['--max-steps', '12', '--checkpoint-every', '3', '--verbose', '--output', at('hung')];
    let stopped: number | undefined;
    const hung = await ranks(2, [...common, ...steps], { FUSED_LORA_MPI_TIMEOUT: '1' }, (text) => {
      if (stopped !== undefined || !/step 5\/12/.test(text)) return;
      stopped = rankOne();
      if (stopped !== undefined) process.kill(stopped, 'SIGSTOP');
    });
    expect(stopped).toBeDefined();
    expect(hung.output).toMatch(/rank 1 did not answer within 1 s/);
    expect([hung.code === 0, hung.seconds < 30]).toEqual([false, true]);
    const [again, whole] = await Promise.all([
      run([...common, ...steps, '--resume']),
      run([...common, ...steps.slice(0, -1), at('whole'), '--shares', '2']),
    ]);
    expect([again.code, whole.code]).toEqual([0, 0]);
    expect(bytesOf('hung').equals(bytesOf('whole'))).toBe(true);
  });
});

(isThere ? describe : describe.skip)('a rank whose run is in a worker thread', () => {
  it('ends at once when the worker is terminated in the midst of a sum, and tells the others why', async () => {
    const began = performance.now();
    // Without a word the other would wait for ten minutes.
    const { output } = await mpirun(2, [path.join(__dirname, 'worker_sum.cjs'), '600']);
    const said = output.split('\n').flatMap((line) => (line.startsWith('{') ? [JSON.parse(line)] : []));
    expect(said.sort((a, b) => a.rank - b.rank)).toEqual([
      { rank: 0, seconds: expect.any(Number) },
      { rank: 1, code: 'RANK_FAILED', message: expect.stringMatching(/^rank 0: .*a worker thread\) ended/) },
    ]);
    expect(said[0].seconds).toBeLessThan(20);
    expect(performance.now() - began).toBeLessThan(60_000);
  }, 120_000);
});

/** The process of rank 1 among those that mpirun started. */
function rankOne(): number | undefined {
  for (const pid of fs.readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
    try {
      const environment = fs.readFileSync(`/proc/${pid}/environ`, 'utf8').split('\0');
      const isOurs = fs.readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes(at('hung'));
      const isOne = environment.some((line) => /^(OMPI_COMM_WORLD_RANK|PMI_RANK)=1$/.test(line));
      if (isOurs && isOne) return Number(pid);
    } catch {
      // Of another user, or gone.
    }
  }
  return undefined;
}

describe('the files for clusters', () => {
  const read = (name: string) =>
    fs.readFileSync(path.join(__dirname, '..', '..', 'examples', 'distributed', name), 'utf8');
  const known = new Set(trainCommand().options.map(({ long }) => long));
  const expectKnown = (args: readonly string[]) => {
    expect(args.slice(0, 2)).toEqual(['node_modules/.bin/fused-lora', 'train']);
    const flags = args.filter((arg) => arg.startsWith('--'));
    expect(flags.filter((flag) => !known.has(flag))).toEqual([]);
    for (const flag of ['--distributed', '--model', '--train', '--resume', '--output']) expect(flags).toContain(flag);
  };

  it('train.slurm is a script whose options there are', () => {
    const text = read('train.slurm');
    expect(spawnSync('bash', ['-n'], { input: text, encoding: 'utf8' })).toMatchObject({ status: 0, stderr: '' });
    const lines = text.split('\n');
    expect(lines[0]).toBe('#!/bin/bash');
    const directives = lines.filter((line) => line.startsWith('#SBATCH'));
    // Slurm reads no directive after the first command.
    const command = lines.findIndex((line) => line !== '' && !line.startsWith('#'));
    expect(Math.max(...directives.map((line) => lines.indexOf(line)))).toBeLessThan(command);
    expect(directives.join('\n')).toMatch(/--signal=TERM@\d+/);
    const words = text.slice(text.indexOf('exec srun')).replaceAll('\\\n', ' ').split(/\s+/);
    expectKnown(words.slice(words.indexOf('node_modules/.bin/fused-lora')).filter((word) => word !== ''));
  });

  it('mpijob.yaml is an MPIJob with as many ranks as workers have slots', () => {
    const job = parse(read('mpijob.yaml'));
    expect(job).toMatchObject({ apiVersion: 'kubeflow.org/v2beta1', kind: 'MPIJob' });
    const { Launcher, Worker } = job.spec.mpiReplicaSpecs;
    const { command, args, volumeMounts } = Launcher.template.spec.containers[0];
    expect(command).toEqual(['mpirun']);
    expect(Number(args[args.indexOf('-n') + 1])).toBe(Worker.replicas * job.spec.slotsPerWorker);
    expectKnown(args.slice(args.indexOf('node_modules/.bin/fused-lora')));
    for (const { template } of [Launcher, Worker]) {
      const volumes = template.spec.volumes.map(({ name }: { name: string }) => name);
      expect(volumes).toEqual(volumeMounts.map(({ name }: { name: string }) => name));
    }
  });
});
