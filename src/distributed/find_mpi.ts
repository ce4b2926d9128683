/**
 * Which launcher started this process, and where the MPI library of the same make is. What is
 * opened is said by FUSED_LORA_MPI where it is set; ranks themselves are mpi_group.ts.
 */
import * as fs from 'node:fs';
import * as path from 'node:path';

/** What the environment says of the ranks that were started together. */
export interface Launcher {
  /** The variable that tells it. */
  variable: string;
  /** Number of processes. */
  size: number;
  rank: number;
  /** Among those of this machine; absent where nothing tells. */
  localRank?: number;
  /** Whose launcher it is, where the variable tells. */
  make?: 'Open MPI' | 'MPICH';
}

/** Number and rank, in the order in which one hides the other: srun starts the ranks of mpirun. */
const VARIABLES = [
  { size: 'OMPI_COMM_WORLD_SIZE', rank: 'OMPI_COMM_WORLD_RANK', local: 'OMPI_COMM_WORLD_LOCAL_RANK', make: 'Open MPI' },
  { size: 'PMI_SIZE', rank: 'PMI_RANK', local: 'MPI_LOCALRANKID', make: 'MPICH' },
  { size: 'SLURM_STEP_NUM_TASKS', rank: 'SLURM_PROCID', local: 'SLURM_LOCALID' },
] as const;

/** The libraries by their sonames; one with the standard's interface is the same for all makes. */
const NAMES = {
  'Open MPI': ['libmpi.so.40'],
  MPICH: ['libmpi_abi.so.1', 'libmpi.so.12', 'libmpich.so.12'],
} as const;

const LAUNCHERS =
  /^(mpirun|mpiexec|orterun|prterun|orted|prted|prte|hydra_pmi_proxy|mpiexec\.hydra|mpirun\..+|mpiexec\..+)$/;

/** @returns undefined where nothing says that this process is one of several. */
export function launcherOf(env: NodeJS.ProcessEnv = process.env): Launcher | undefined {
  for (const variable of VARIABLES) {
    const size = Number(env[variable.size]);
    if (!(Number.isSafeInteger(size) && size >= 1)) continue;
    const rank = Number(env[variable.rank] ?? 0);
    const local = env[variable.local];
    return {
      variable: variable.size,
      size,
      rank,
      ...(local !== undefined && { localRank: Number(local) }),
      ...('make' in variable && { make: variable.make }),
    };
  }
  return undefined;
}

/**
 * Whether the socket to MPICH's launcher is there, which the environment names. Node closes what it
 * did not open itself before it starts another program: npx does that, and MPI would take whatever
 * has the number now for its launcher.
 */
export function isConnected(env: NodeJS.ProcessEnv = process.env): boolean {
  const number = Number(env['PMI_FD'] || Number.NaN);
  if (!Number.isSafeInteger(number)) return true;
  try {
    return fs.fstatSync(number).isSocket();
  } catch {
    return false;
  }
}

/** Folders of libraries beside the launcher: of the processes above this one, then of the PATH. */
function foldersBesideLauncher(env: NodeJS.ProcessEnv): string[] {
  const programs: string[] = [];
  let pid = process.ppid;
  // npx, a shell and a script may stand between the launcher and this process.
  for (let i = 0; i < 8 && pid > 1; i++) {
    try {
      programs.push(fs.readlinkSync(`/proc/${pid}/exe`));
      const stat = fs.readFileSync(`/proc/${pid}/stat`, 'utf8');
      pid = Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]);
    } catch {
      break;
    }
  }
  for (const folder of (env['PATH'] ?? '').split(path.delimiter)) {
    for (const name of ['mpirun', 'mpiexec']) {
      try {
        programs.push(fs.realpathSync(path.join(folder, name)));
      } catch {
        // Not in this folder.
      }
    }
  }
  const prefixes = programs.filter((file) => LAUNCHERS.test(path.basename(file))).map((file) => path.dirname(file));
  return [...new Set(prefixes.map((folder) => path.join(folder, '..', 'lib')))];
}

/**
 * Files to try, the likeliest first: beside the launcher, then where the system looks.
 *
 * @param launcher as {@link launcherOf} gives it.
 */
export function mpiLibraries(launcher: Launcher | undefined, env: NodeJS.ProcessEnv = process.env): string[] {
  const given = env['FUSED_LORA_MPI'];
  if (given) return [given];
  const makes = launcher?.make === undefined ? (['Open MPI', 'MPICH'] as const) : [launcher.make];
  const names = makes.flatMap((make) => NAMES[make]);
  const beside = foldersBesideLauncher(env).flatMap((folder) => names.map((name) => path.join(folder, name)));
  return [...beside.filter((file) => fs.existsSync(file)), ...names];
}
