/**
 * Ranks on every MPI that is there: Debian's Open MPI and MPICH, PyPI's MPICH 5 by the interface
 * of the standard, which is fetched into .cache. Headers are held against
 * native/distributed/mpi_abi.h; 2 and 3 ranks must give the bytes of one process with as many
 * shares; ranks are killed at random and go on. Its last line is `N passed, N failed`.
 * Usage: node scripts/test-mpi.mjs [--only openmpi,mpich,abi] [--kills 5] [--seed 1]
 * It runs the built package (dist). What CI runs of it: test/distributed/mpi.test.ts.
 */
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { parseArgs } from 'node:util';
import { fail, mustRun, root, run, say, which } from './lib/shell.mjs';

const { values } = parseArgs({
  options: {
    only: { type: 'string', default: 'openmpi,mpich,abi' },
    kills: { type: 'string', default: '5' },
    seed: { type: 'string', default: '1' },
  },
});
const CLI = join(root, 'dist', 'cli', 'main.js');
if (!existsSync(CLI)) fail('dist/cli/main.js is not there. Run: npm run build:ts');
const PYPI = 'mpich==5.0.2';
const MODEL = join(root, 'assets', 'tiny-roberta');

let state = Number(values.seed);
/** In [0, 1). */
function random() {
  state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
  return state / 2 ** 32;
}

let passed = 0;
let failed = 0;
function report(what, wrong) {
  if (wrong) failed++;
  else passed++;
  say(`${wrong ? 'FAIL' : 'ok  '} ${what}${wrong ? `\n${wrong}` : ''}`);
}

/** The first of these files that exists. */
const first = (...files) => files.find((file) => file && existsSync(file));

function librariesIn() {
  return readdirSync('/usr/lib', { withFileTypes: true })
    .filter((entry) => entry.isDirectory() && entry.name.endsWith('-linux-gnu'))
    .map((entry) => join('/usr/lib', entry.name));
}

/** What is there of each make: launcher and its options, library, header and its struct. */
const MAKES = {
  openmpi: () => {
    const folder = librariesIn().find((name) => existsSync(join(name, 'libmpi.so.40')));
    const header = folder && first(join(folder, 'openmpi/include/mpi.h'));
    const options = ['--allow-run-as-root', '--oversubscribe', '--bind-to', 'none'];
    const library = folder && join(folder, 'libmpi.so.40');
    return {
      launcher: which('mpirun.openmpi'),
      options,
      library,
      header,
      abi: 'OpenMpiAbi',
    };
  },
  mpich: () => {
    const folder = librariesIn().find((name) => existsSync(join(name, 'libmpich.so.12')));
    const header = folder && first(join('/usr/include', folder.split('/').at(-1), 'mpich/mpi.h'));
    const library = folder && join(folder, 'libmpich.so.12');
    return { launcher: which('mpirun.mpich'), options: [], library, header, abi: 'MpichAbi' };
  },
  abi: () => {
    const place = join(root, '.cache', 'mpi');
    if (!existsSync(join(place, 'bin/mpirun'))) {
      mustRun('python3 -m venv', 'python3', ['-m', 'venv', place]);
      mustRun('pip install', join(place, 'bin/pip'), ['install', '--quiet', PYPI]);
    }
    const library = join(place, 'lib/libmpi_abi.so.1');
    const header = first(join(place, 'include/mpi_abi.h'));
    return { launcher: join(place, 'bin/mpirun'), options: [], library, header, abi: 'StandardAbi' };
  },
};

const work = mkdtempSync(join(tmpdir(), 'test-mpi-'));
const at = (...parts) => join(work, ...parts);
const rows = Array.from({ length: 75 }, (_, i) => {
  const word = ['good', 'bad', 'slow', 'bright', 'long'][i % 5];
  return `${'the film was '.repeat(1 + (i % 4))}${word}\t${i % 2 === 0 ? 'yes' : 'no'}`;
});
writeFileSync(at('train.tsv'), `sentence\tlabel\n${rows.join('\n')}\n`);
writeFileSync(at('text.txt'), `${rows.map((row) => row.split('\t')[0]).join('\n')}\n`);

const data = ['--train', at('train.tsv'), '--dev', at('train.tsv'), '--max-length', '32', '--batch-size', '16'];
const steps = ['--max-steps', '12', '--checkpoint-every', '2', '--device', 'cpu'];
const COMMANDS = {
  lora: ['train', '--model', MODEL, ...data, ...steps],
  full: ['train', '--model', MODEL, '--method', 'full', ...data, ...steps],
  stream: ['train', '--model', MODEL, '--stream', '--shuffle-window', '20', ...data, ...steps],
  pretrain: ['pretrain', '--model', MODEL, '--text', at('text.txt'), '--token-budget', '200', ...steps],
};

/** @param stop called with the running child. */
function start(command, args, env, stop) {
  return new Promise((resolve) => {
    const child = spawn(command, args, { env: { ...process.env, ...env }, stdio: ['ignore', 'pipe', 'pipe'] });
    let output = '';
    for (const stream of [child.stdout, child.stderr])
      stream.on('data', (text) => {
        output += text;
      });
    const began = Date.now();
    stop?.(child);
    child.on('close', (code) => resolve({ code, output, seconds: (Date.now() - began) / 1000 }));
  });
}

function digest(folder) {
  const files = ['adapter_model.safetensors', 'model.safetensors'].map((name) => join(folder, name));
  const file = first(...files);
  return file ? createHash('sha256').update(readFileSync(file)).digest('hex') : 'no weights';
}

/** Processes whose command line has `mark`, by their rank. */
function ranksOf(mark) {
  const found = new Map();
  for (const pid of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
    try {
      if (!readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes(mark)) continue;
      const rank = /(?:^|\0)(?:OMPI_COMM_WORLD_RANK|PMI_RANK)=(\d+)/.exec(readFileSync(`/proc/${pid}/environ`, 'utf8'));
      if (rank) found.set(Number(rank[1]), Number(pid));
    } catch {
      // Gone.
    }
  }
  return found;
}

const SEVERAL = [...COMMANDS.full, '--gradient-accumulation', '2', '--shares', '5'];
const whole = new Map();
const several = at('one-several');
const severalEnded = await start(process.execPath, [CLI, ...SEVERAL, '--output', several], {});
if (severalEnded.code !== 0)
  fail(`five shares on one process ended with ${severalEnded.code}:\n${severalEnded.output}`);
for (const [name, command] of Object.entries(COMMANDS)) {
  for (const shares of name === 'lora' ? [2, 3] : [2]) {
    const output = at(`one-${name}-${shares}`);
    const ended = await start(process.execPath, [CLI, ...command, '--shares', String(shares), '--output', output], {});
    if (ended.code !== 0) fail(`${name} on one process ended with ${ended.code}:\n${ended.output}`);
    whole.set(`${name} ${shares}`, digest(output));
  }
}

for (const name of values.only.split(',')) {
  const make = MAKES[name]?.();
  if (!make) fail(`there is no make '${name}'; there are ${Object.keys(MAKES).join(', ')}`);
  const { launcher, options, library, header, abi } = make;
  if (!launcher || !library || !existsSync(library)) {
    say(`skip ${name}: not installed`);
    continue;
  }
  if (header) report(`${name}: interface as in ${header}`, checkHeader(header, library, abi));
  else say(`skip ${name}: its header is not installed`);
  const env = { FUSED_LORA_THREADS: '1', ...(name === 'abi' && { FUSED_LORA_MPI: library }) };
  const ranks = (count, command, output, more = [], stop = undefined) =>
    start(
      launcher,
      [...options, '-n', String(count), process.execPath, CLI, ...command, '--output', output, ...more],
      env,
      stop,
    );

  for (const key of whole.keys()) {
    const [command, count] = key.split(' ');
    const output = at(`${name}-${command}-${count}`);
    const ended = await ranks(count, COMMANDS[command], output);
    const problem = ended.code !== 0 ? ended.output : digest(output) !== whole.get(key) ? 'other bytes' : undefined;
    report(
      `${name}: ${command} on ${count} ranks has the bytes of one process (${ended.seconds.toFixed(1)} s)`,
      problem,
    );
  }
  await trySeveralShares(name, ranks);
  await tryOtherMake(name, launcher, options);
  await tryTerm(name, ranks, 'lora', 2);
  await tryTerm(name, ranks, 'full', 3);
  await tryFullDisk(name, launcher, options, env);
  for (let kill = 0; kill < Number(values.kills); kill++) await tryKill(name, ranks, kill);
}
rmSync(work, { recursive: true, force: true });
process.stdout.write(`${passed} passed, ${failed} failed\n`);
process.exitCode = failed > 0 || passed === 0 ? 1 : 0;

function checkHeader(header, library, abi) {
  const program = at('check_abi');
  const sources = ['scripts/mpi/check_abi.cc', 'native/platform/library.cc', 'native/platform/threads.cc'];
  const settings = [`-DFL_MPI_HEADER="${header}"`, `-DFL_MPI_ABI=${abi}`, '-Inative', `-I${dirname(header)}`];
  const flags = ['-std=c++20', '-fPIC', ...settings, ...sources, library, `-Wl,-rpath,${dirname(library)}`, '-ldl'];
  const built = run('g++', [...flags, '-o', program], { quiet: true });
  if (built.status !== 0) return built.output;
  const checked = run(program, [library], { quiet: true });
  return checked.status === 0 ? undefined : checked.output;
}

/** Two shares and three, in two micro-batches each, of which one may be without sequences. */
async function trySeveralShares(name, ranks) {
  const output = at(`${name}-several`);
  const ended = await ranks(2, SEVERAL, output);
  const problem = ended.code !== 0 ? ended.output : digest(output) !== digest(several) ? 'other bytes' : undefined;
  report(`${name}: five shares on 2 ranks have the bytes of one process`, problem);
}

/** A launcher of one make and a library of another. */
async function tryOtherMake(name, launcher, options) {
  const other = name === 'openmpi' ? MAKES.mpich().library : MAKES.openmpi().library;
  if (!other || !existsSync(other)) return;
  const args = [...COMMANDS.lora, '--output', at(`${name}-other`)];
  const ended = await start(launcher, [...options, '-n', '2', process.execPath, CLI, ...args], {
    FUSED_LORA_MPI: other,
  });
  const isTold = ended.code !== 0 && /MPI_UNAVAILABLE.*the launcher started 2 processes/.test(ended.output);
  report(`${name}: a library of another make is an error`, isTold ? undefined : `${ended.code}: ${ended.output}`);
}

/** Waits for the checkpoint of some step, then does something to a rank. */
function afterCheckpoint(output, step, then) {
  const timer = setInterval(() => {
    if (!existsSync(join(output, `checkpoint-${step}`))) return;
    clearInterval(timer);
    then(ranksOf(output));
  }, 5);
  timer.unref();
  return timer;
}

/**
 * SIGTERM to a rank that is not the first: all stop after one step, with a checkpoint, from which
 * `count` ranks go on. In full fine-tuning ranks divide the optimizer's moments.
 */
async function tryTerm(name, ranks, command, count) {
  const output = at(`${name}-term-${command}`);
  let timer;
  const ended = await ranks(2, COMMANDS[command], output, [], () => {
    timer = afterCheckpoint(output, 2, (pids) => process.kill(pids.get(1), 'SIGTERM'));
  });
  clearInterval(timer);
  const again = await ranks(count, COMMANDS[command], output, ['--resume']);
  const problem =
    ended.code === 0
      ? 'the run was not stopped'
      : !/stopped by the AbortSignal on rank 1/.test(ended.output)
        ? ended.output
        : again.code !== 0 || digest(output) !== whole.get(`${command} 2`)
          ? `not resumed to the same bytes: ${again.output}`
          : undefined;
  report(
    `${name}: SIGTERM to rank 1 stops all after a step, and ${count} go on to the same bytes (${command})`,
    problem,
  );
}

/** An output folder on a disk of 64 KiB, in a mount namespace of its own: rank 0 finds it full. */
async function tryFullDisk(name, launcher, options, env) {
  const disk = at(`${name}-disk`);
  const namespace = ['--user', '--map-root-user', '--mount', 'sh', '-c'];
  const mount = `mkdir -p '${disk}' && mount -t tmpfs -o size=64k tmpfs '${disk}'`;
  if (run('unshare', [...namespace, mount], { quiet: true }).status !== 0) {
    say(`skip ${name}: a full disk needs unshare and a tmpfs`);
    return;
  }
  const args = [...options, '-n', '2', process.execPath, CLI, ...COMMANDS.full, '--output', join(disk, 'out')];
  const ended = await start('unshare', [...namespace, `${mount} && exec "$@"`, 'sh', launcher, ...args], env);
  const errors = ended.output.match(/error \[.*/g) ?? [];
  const isTold = errors.length === 1 && /disk is full/.test(errors[0]);
  const problem = ended.code === 0 || !isTold || ended.seconds > 60 ? `${ended.code}: ${ended.output}` : undefined;
  report(`${name}: a full disk of rank 0 ends all with one message (${ended.seconds.toFixed(1)} s)`, problem);
}

/** SIGKILL to a random rank at a random moment; then on with one, two or three ranks. */
async function tryKill(name, ranks, kill) {
  const output = at(`${name}-kill-${kill}`);
  const victim = Math.floor(random() * 2);
  const step = 2 * Math.floor(random() * 5);
  const later = random() * 200;
  let timer;
  let killed = false;
  const ended = await ranks(2, COMMANDS.lora, output, [], () => {
    const strike = (pids) =>
      setTimeout(() => {
        try {
          process.kill(pids.get(victim), 'SIGKILL');
          killed = true;
        } catch {
          // The run was over by then.
        }
      }, later);
    if (step > 0) timer = afterCheckpoint(output, step, strike);
    else setTimeout(() => strike(ranksOf(output)), 1000);
  });
  clearInterval(timer);
  const count = 1 + Math.floor(random() * 3);
  const more = existsSync(join(output)) ? ['--resume'] : [];
  // A run that was killed before its first checkpoint has as many shares as it has ranks anew.
  const again = await ranks(count, COMMANDS.lora, output, [...more, '--shares', '2']);
  const problem =
    killed && ended.code === 0
      ? 'the run ended well, without one of its ranks'
      : ended.seconds > 60
        ? `it took ${ended.seconds} s to end`
        : again.code !== 0 || digest(output) !== whole.get('lora 2')
          ? `not resumed to the same bytes on ${count} ranks: ${again.output}`
          : undefined;
  const what = `rank ${victim} killed ${step > 0 ? `${later.toFixed(0)} ms after step ${step}` : 'before the first step'}`;
  report(`${name}: ${what}, then on ${count} ranks to the same bytes`, problem);
}
