/**
 * Ranks on MPI: joined once a process, left when it exits. The library is found by find_mpi.ts and
 * called by native/distributed; who trains with a group sees group.ts alone.
 */
import * as fs from 'node:fs';
import { FusedLoraError } from '../base/errors';
import { native, wrapNativeError } from '../native';
import { gatherJson } from './collectives';
import { isConnected, launcherOf, mpiLibraries } from './find_mpi';
import { type Group, isCommon, isTold, toldByAnother } from './group';

/** Seconds without a byte after which a rank that is waited for counts as gone. */
const DEFAULT_TIMEOUT = 600;
/** A rank that was told of a failure leaves the one that failed so long to say it to people. */
const TOLD_MILLISECONDS = 2000;
/** Ranks that are done wait this long for the others: one may go on alone after training. */
const LEAVE_SECONDS = 24 * 3600;

const REMEDY =
  'Install one: apt-get install openmpi-bin (Debian, Ubuntu), dnf install openmpi (Fedora, RHEL), or pip install mpich; ' +
  'or name the library: FUSED_LORA_MPI=/path/to/libmpi.so.40. See docs/distributed.md';

/** A group, with what is known of it beside. */
export interface MpiGroup extends Group {
  /** One line for people: ranks, machines, library. */
  readonly description: string;
}

let joined: Promise<MpiGroup> | undefined;

/**
 * The ranks that were started together; the same group at every call. Sets the threads of this rank
 * and, on a machine with GPUs, which one it sees: so it comes before anything else of a run.
 *
 * @throws FusedLoraError MPI_UNAVAILABLE: no library, or one that sees other ranks than the
 * launcher started; RANK_FAILED.
 */
export function joinMpi(): Promise<MpiGroup> {
  joined ??= join().catch((error) => {
    // Ranks without MPI can not agree who says it; those of one machine have the same libraries.
    const isUnavailable = error instanceof FusedLoraError && error.code === 'MPI_UNAVAILABLE';
    if (isUnavailable && (launcherOf()?.localRank ?? 0) > 0) toldByAnother(error);
    throw error;
  });
  return joined;
}

function timeoutOf(env: NodeJS.ProcessEnv): number {
  const text = env['FUSED_LORA_MPI_TIMEOUT'];
  if (!text) return DEFAULT_TIMEOUT;
  const seconds = Number(text);
  if (Number.isFinite(seconds) && seconds > 0) return seconds;
  throw new FusedLoraError(
    'INVALID_ARGUMENT',
    `FUSED_LORA_MPI_TIMEOUT is '${text}', expected seconds above 0 (default ${DEFAULT_TIMEOUT})`,
  );
}

async function join(): Promise<MpiGroup> {
  const seconds = timeoutOf(process.env);
  const launcher = launcherOf();
  if (!isConnected()) throw cutOff();
  withoutMemoryEvents(process.env);
  const { distributed } = native();
  const { file, rank, size, version } = await open(mpiLibraries(launcher));
  if (launcher && launcher.size !== size) {
    throw new FusedLoraError(
      'MPI_UNAVAILABLE',
      `the launcher started ${launcher.size} processes (${launcher.variable}), and ${file} (${version}) sees ${size}: launcher and library are of ` +
        'different makes. Start with the launcher of that library, or name the library of the launcher: FUSED_LORA_MPI. See docs/distributed.md',
    );
  }
  let failed = false;
  /** Whether it was another rank that failed. */
  let told = false;
  /** Whether all ranks end at the same point, with an error. */
  let ended = false;
  const all = async <R>(call: Promise<R>): Promise<R> => {
    try {
      return await call;
    } catch (error) {
      const wrapped = wrapNativeError(error) as FusedLoraError;
      // A rank that has to find out by itself says so, to people and to the others.
      told = /^rank \d+: /.test(wrapped.message);
      if (told) toldByAnother(wrapped);
      await fail(wrapped);
      failed = true;
      throw wrapped;
    }
  };
  const exchange: Group['exchange'] = async (parts, lengths) =>
    size === 1 ? [...parts] : await all(distributed.exchange(parts, lengths, seconds));
  const inPlace: Pick<Group, 'sum' | 'gatherValues' | 'gatherMoments'> = {
    sum: (gradients, { summands, isComputing }) => all(distributed.sum(gradients, summands, isComputing, seconds)),
    gatherValues: (gradients) => all(distributed.gatherValues(gradients, seconds)),
    gatherMoments: (gradients) => all(distributed.gatherMoments(gradients, seconds)),
  };
  const fail: Group['fail'] = async (error) => {
    if (isCommon(error)) ended = true;
    if (failed || ended || isTold(error) || size === 1) return;
    failed = true;
    const { code, message } = error as Partial<FusedLoraError>;
    const text = `${code === undefined ? '' : `[${code}] `}${message ?? String(error)}`;
    const said = await distributed.tellFailure(`rank ${rank}: ${text}`);
    // What is wrong everywhere is told by the first.
    const before = said.slice(0, rank).some((other) => other.replace(/^rank \d+: /, '') === text);
    if (before) toldByAnother(error as object);
  };
  process.once('exit', (code) => {
    // The launcher ends all ranks when one of them aborts: the one that failed goes first.
    if (told) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, TOLD_MILLISECONDS);
    // An exit that nobody expects leaves others waiting: they end with it.
    if (failed || (code !== 0 && !ended)) distributed.abort(code || 1);
    else if (!distributed.leave(LEAVE_SECONDS)) distributed.abort(1);
  });
  const group: Group = { rank, size, localRank: 0, exchange, ...(size > 1 && inPlace), fail };
  const place = await settle(group);
  return { ...group, ...place, description: `rank ${rank} of ${size}, ${version}, ${place.description}` };
}

/**
 * UCX, on which MPI libraries may run, sets up a watch over memory when it starts. Beside Node's
 * threads, ranks then died at a page at the end of the heap that was gone (docs/distributed.md);
 * nothing here needs that watch.
 */
function withoutMemoryEvents(env: NodeJS.ProcessEnv): void {
  env['UCX_MEM_EVENTS'] ??= 'no';
}

function cutOff(): FusedLoraError {
  return new FusedLoraError(
    'MPI_UNAVAILABLE',
    `the connection to MPICH's launcher (PMI_FD ${process.env['PMI_FD']}) is closed: a Node program between the two, npx as a rule, closed it. Start ` +
      'node_modules/.bin/fused-lora in place of npx fused-lora. See docs/distributed.md',
  );
}

async function open(files: readonly string[]): Promise<{ file: string; rank: number; size: number; version: string }> {
  const failures: string[] = [];
  for (const file of files) {
    try {
      const { version, ...rest } = await native().distributed.join(file);
      // `Open MPI v4.1.4, package: …`, `MPICH Version:      4.0.2`
      return { file, ...rest, version: version.replace(/,.*/, '').replace(/ Version:\s*/, ' ') };
    } catch (error) {
      failures.push(wrapNativeError(error) instanceof Error ? (error as Error).message : String(error));
    }
  }
  throw new FusedLoraError('MPI_UNAVAILABLE', `no MPI library could be used: ${failures.join('; ')}. ${REMEDY}`);
}

/** Threads and GPU of this rank among those of its machine. */
async function settle(group: Group): Promise<{ localRank: number; description: string }> {
  const { distributed } = native();
  const places = await gatherJson(group, distributed.place());
  const own = places[group.rank]!;
  const here = [...places.keys()].filter((rank) => places[rank]!.host === own.host);
  const localRank = here.indexOf(group.rank);
  // Ranks that the launcher bound to CPUs of their own have them; others share what there is.
  const sharing = here.filter((rank) => places[rank]!.cpus === own.cpus).length;
  if (!process.env['FUSED_LORA_THREADS'] && sharing > 1) {
    native().setThreads(Math.max(1, Math.floor((own.cpus.split(',').length || 1) / sharing)));
  }
  if (here.length > 1) chooseGpu(localRank, process.env);
  const hosts = new Set(places.map(({ host }) => host)).size;
  return { localRank, description: `${hosts} machine${hosts === 1 ? '' : 's'}` };
}

/** Each rank of a machine sees one GPU; where Slurm or the user gave each its own, it stays. */
function chooseGpu(localRank: number, env: NodeJS.ProcessEnv): void {
  const given = env['CUDA_VISIBLE_DEVICES'];
  if (given === undefined) {
    if (fs.existsSync('/proc/driver/nvidia/gpus')) env['CUDA_VISIBLE_DEVICES'] = String(localRank);
    return;
  }
  const devices = given.split(',').filter((device) => device.trim() !== '');
  if (devices.length > 1) env['CUDA_VISIBLE_DEVICES'] = devices[localRank % devices.length];
}
