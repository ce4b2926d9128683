/**
 * Which BLAS makes PyTorch fastest here: MKL as it comes, MKL told to take its path for Intel,
 * OpenBLAS.
 * Each is a library preloaded into the peer (peers/blas.c), so each is tried in a process of its
 * own.
 */
import { execFileSync } from 'node:child_process';
import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';
import { Child } from './child';
import { cacheFolder, repository } from './folders';
import { interleave } from './measure';
import { isMissing, type Missing } from './result';

const VARIANTS = ['mkl', 'mkl-intel', 'openblas'] as const;
export type Blas = (typeof VARIANTS)[number];

export const peersFolder = path.join(repository, 'benchmarks', 'peers');

/** Names the choice for child processes, so that several benchmarks of one run make it once. */
export const BLAS_VARIABLE = 'FUSED_LORA_PEERS_BLAS';

export interface BlasChoice {
  blas: Blas;
  /** GFLOP/s of a fp32 product of RoBERTa-base's size with each that could be tried. */
  tried: Partial<Record<Blas, number>>;
}

/**
 * The interpreter that has the peers: FUSED_LORA_PEERS_PYTHON,
 * or the environment of `npm run bench:peers`.
 */
export function peersPython(): string | Missing {
  const python = process.env['FUSED_LORA_PEERS_PYTHON'] ?? path.join(repository, '.cache', 'peers', 'bin', 'python');
  if (!fs.existsSync(python)) return { missing: 'the Python peers are not set up (npm run bench:peers)' };
  return python;
}

/** Physical cores: two threads of one core share its arithmetic. */
export function physicalCores(): number {
  try {
    const lines = execFileSync('lscpu', ['-p=CORE,SOCKET'], { encoding: 'utf8' }).split('\n');
    return new Set(lines.filter((line) => line && !line.startsWith('#'))).size;
  } catch {
    return os.cpus().length;
  }
}

/**
 * What a Python peer needs in its environment for that BLAS;
 * undefined where it can not be had here.
 *
 * @param products whether the peer runs single products, of oneDNN too, rather than whole models.
 */
export function blasEnvironment(blas: Blas, python: string, products: boolean): NodeJS.ProcessEnv | undefined {
  if (blas === 'mkl') return {};
  if (process.platform !== 'linux' || process.arch !== 'x64') return undefined;
  try {
    const library = preloaded(blas, python);
    if (blas === 'mkl-intel') return { LD_PRELOAD: library };
    const threads = { LD_PRELOAD: library, OPENBLAS_NUM_THREADS: String(physicalCores()) };
    // OpenBLAS has threads of its own: in a model, those of OpenMP must not spin while they work.
    return products ? threads : { ...threads, OMP_WAIT_POLICY: 'PASSIVE' };
  } catch {
    return undefined; // No compiler, or a numpy without OpenBLAS.
  }
}

/** Compiled at first use. */
function preloaded(blas: 'mkl-intel' | 'openblas', python: string): string {
  const file = path.join(cacheFolder, `torch-${blas}.so`);
  const source = path.join(peersFolder, 'blas.c');
  const args = ['-O2', '-shared', '-fPIC', source, '-o', file];
  if (blas === 'openblas') {
    const find =
      'import numpy, pathlib; print(*pathlib.Path(numpy.__file__).parents[1].glob("numpy.libs/*openblas64*"))';
    const library = execFileSync(python, ['-c', find], { encoding: 'utf8' }).trim();
    if (library === '') throw new Error('this numpy brings no OpenBLAS');
    args.push('-DOPENBLAS', library, `-Wl,-rpath,${path.dirname(library)}`);
  } else {
    args.push('-DINTEL_PATH');
  }
  fs.mkdirSync(cacheFolder, { recursive: true });
  execFileSync(process.env['CC'] ?? 'cc', args, { stdio: 'pipe' });
  return file;
}

const product = { tokens: 512, inputs: 768, outputs: 3072, rank: 0, scaling: 1 };
const ROUNDS = 9;

/** Tries all, in turns, unless FUSED_LORA_PEERS_BLAS names one. */
export async function chooseBlas(): Promise<BlasChoice | Missing> {
  const python = peersPython();
  if (isMissing(python)) return python;
  const given = process.env[BLAS_VARIABLE];
  if (given !== undefined) {
    const blas = VARIANTS.find((name) => name === given);
    if (!blas) throw new Error(`${BLAS_VARIABLE} is "${given}"; it must be one of ${VARIANTS.join(', ')}`);
    return { blas, tried: {} };
  }
  const children: Partial<Record<Blas, Child>> = {};
  const open = async (blas: Blas) => {
    const env = blasEnvironment(blas, python, true);
    if (!env) return;
    const child = new Child(`PyTorch ${blas}`, python, [path.join(peersFolder, 'torch_linear.py')], env);
    try {
      await child.call('prepare', product);
      children[blas] = child;
    } catch (error) {
      // PyTorch as it comes must run; a preloaded library may not suit its version.
      if (blas === 'mkl') throw error;
      child.close();
    }
  };
  await Promise.all(VARIANTS.map(open));
  const turns = Object.fromEntries(
    Object.entries(children).map(([blas, child]) => [blas, () => child.call<number>('product', { name: 'torch' })]),
  );
  const timings = await interleave(turns, { rounds: ROUNDS, warmup: 3, pause: 20 });
  for (const child of Object.values(children)) child.close();
  const flops = 2 * product.tokens * product.inputs * product.outputs;
  const rates = Object.entries(timings).map(([blas, { median }]) => [blas as Blas, flops / median / 1e9] as const);
  const [fastest] = [...rates].sort(([, a], [, b]) => b - a);
  return { blas: fastest?.[0] ?? 'mkl', tried: Object.fromEntries(rates) };
}
