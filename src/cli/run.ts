/**
 * How every command runs: options from a file, errors as one line, Ctrl-C as an AbortSignal, exit
 * codes. What a command does stands in the file of its name; all of them are listed in program.ts.
 */
import { type Command, CommanderError } from 'commander';
import { type ErrorCode, FusedLoraError } from '../base/errors';
import { printable } from '../base/printable';
import { type Group, isTold, SOLO } from '../distributed/group';
import { type Distributed, joinGroup } from '../distributed/join';
import { applyConfig } from './config_file';
import { flagOf } from './table_options';

/** What the process ends with; docs/cli.md and the help say the same. */
export const EXIT = {
  done: 0,
  /** Options, files, data or a model that the message names. */
  input: 1,
  /** Something of the machine: device, memory, the addon. */
  machine: 2,
  /** The loss or the gradients were no numbers any more. */
  diverged: 3,
  /** A bug. */
  internal: 70,
  interrupted: 130,
  terminated: 143,
} as const;

export const EXIT_HELP = `Exit codes:
  0    done
  1    bad input: an option, a file, data or a model, which the message names
  2    the machine can not do it: no such device, not enough memory, no addon, no download
  3    the training diverged: the loss or the gradients were no numbers any more
  70   a bug of fused-lora
  130  stopped by Ctrl-C (143 by SIGTERM); train and pretrain save a checkpoint first`;

const EXIT_OF_CODE: Partial<Record<ErrorCode, number>> = {
  DEVICE_UNAVAILABLE: EXIT.machine,
  MPI_UNAVAILABLE: EXIT.machine,
  RANK_FAILED: EXIT.machine,
  DOWNLOAD_FAILED: EXIT.machine,
  OUT_OF_MEMORY: EXIT.machine,
  ADDON_NOT_FOUND: EXIT.machine,
  UNSUPPORTED: EXIT.machine,
  NON_FINITE_LOSS: EXIT.diverged,
  INTERNAL: EXIT.internal,
};
const EXIT_OF_SIGNAL = { SIGINT: EXIT.interrupted, SIGTERM: EXIT.terminated } as const;

/** The exit code for an error; one without a code is a bug. */
export function exitCodeOf(error: unknown): number {
  const code = codeOf(error);
  return EXIT_OF_CODE[code as ErrorCode] ?? EXIT.input;
}

export interface CommandContext {
  /** Aborted by the first Ctrl-C. */
  signal: AbortSignal;
  /** A line for people: to stderr, so that stdout holds results alone; nothing with --quiet. */
  say(line: string): void;
  /**
   * The ranks of a run. Of them the first talks to people; the others do so where they alone know
   * of an error.
   */
  join(distributed: Distributed): Promise<Group>;
  /** What to tell when the command was stopped by a signal: where its work is and how to go on. */
  onStopped?: () => string | undefined;
  /** The command with its options. */
  command: Command;
}

/** `error [CODE]: message`; with `verbose` the stack and the causes too. */
export function formatError(error: unknown, verbose: boolean, command?: Command): string {
  const code = codeOf(error);
  const message = withFlags(error instanceof Error ? error.message : String(error), command);
  const lines = [`error [${code}]: ${message}`];
  if (verbose) {
    for (let e: unknown = error; e instanceof Error; e = e.cause) {
      lines.push(e === error ? (e.stack ?? '') : `caused by: ${e.stack ?? e.message}`);
    }
  } else if (code === 'INTERNAL') lines.push('This is a bug. Run again with --verbose and report what it prints.');
  // The causes and errors of the system are no FusedLoraError, and may hold names of files.
  return printable(lines.join('\n'));
}

/**
 * Options of the library under the names that they have on the command line: learningRate becomes
 * --lr.
 */
function withFlags(message: string, command: Command | undefined): string {
  // In a space, parameters have their names in code, on the command line too.
  if (message.startsWith('space: ')) return message;
  const flags = new Map(command?.options.map((option) => [option.attributeName(), option.long ?? option.flags]));
  const has = (flag: string | undefined) => command?.options.some(({ long }) => long !== undefined && long === flag);
  const inTable = (name: string) => (has(flagOf(name)) ? flagOf(name) : undefined);
  const named = message.replace(
    /(?<![\w"'.-])[a-z]+[A-Z]\w*(?![\w"'])/g,
    (name) => inTable(name) ?? flags.get(name) ?? name,
  );
  // Of messages that name both, `labelNames (--labels)`, the flag is said once.
  return named.replace(/(--[\w-]+) \(\1\)/g, '$1');
}

/** Of this library's errors and the system's. */
function codeOf(error: unknown): string {
  const code = (error as { code?: unknown } | null)?.code;
  return typeof code === 'string' ? code : 'INTERNAL';
}

/**
 * The action of a command: gives it a context, then sets the exit code. The second signal ends the
 * process at once.
 *
 * @param body gets the command's arguments and options as commander gives them to an action.
 */
export function action<A extends unknown[]>(
  body: (context: CommandContext, ...args: A) => Promise<void>,
): (...args: A) => Promise<void> {
  return async (...args) => {
    const command = args.at(-1) as Command;
    const verbose = command.optsWithGlobals()['verbose'] === true;
    const controller = new AbortController();
    let received: keyof typeof EXIT_OF_SIGNAL | undefined;
    let group: Group = SOLO;
    const onSignal = (name: keyof typeof EXIT_OF_SIGNAL) => {
      if (received) process.exit(EXIT_OF_SIGNAL[name]);
      received = name;
      if (group.rank === 0) process.stderr.write('\nstopping after the running op; Ctrl-C once more ends at once\n');
      controller.abort(new FusedLoraError('ABORTED', `stopped by ${name}`));
    };
    const onInterrupt = () => onSignal('SIGINT');
    const onTerminate = () => onSignal('SIGTERM');
    process.on('SIGINT', onInterrupt);
    process.on('SIGTERM', onTerminate);
    const context: CommandContext = {
      signal: controller.signal,
      join: async (distributed) => {
        group = await joinGroup(distributed);
        return group;
      },
      say: (line) => {
        if (group.rank === 0 && command.getOptionValue('quiet') !== true) process.stderr.write(`${printable(line)}\n`);
      },
      command,
    };
    try {
      applyConfig(command);
      await body(context, ...args);
      process.exitCode = EXIT.done;
    } catch (error) {
      await group.fail(error);
      const stopped = received !== undefined && error instanceof FusedLoraError && error.code === 'ABORTED';
      const where = configPlace(command, error);
      const rank = group.size > 1 && group.rank > 0 ? `rank ${group.rank} of ${group.size}: ` : '';
      // One rank says what all of them end with.
      if (!isTold(error)) {
        process.stderr.write(
          `${rank}${stopped ? stoppedBy(received, context) : formatError(error, verbose, command)}${printable(where)}\n`,
        );
      }
      process.exitCode = stopped && received ? EXIT_OF_SIGNAL[received] : exitCodeOf(error);
    } finally {
      process.off('SIGINT', onInterrupt);
      process.off('SIGTERM', onTerminate);
    }
  };
}

/** Where paths of an options file were looked for, of an error about a file that is not there. */
function configPlace(command: Command, error: unknown): string {
  const file: unknown = command.getOptionValue('config');
  if (typeof file !== 'string' || !['FILE_NOT_FOUND', 'DOWNLOAD_FAILED'].includes(codeOf(error))) return '';
  return `\nPaths in ${file} are seen from the current folder, ${process.cwd()}.`;
}

function stoppedBy(signal: string | undefined, context: CommandContext): string {
  const more = context.onStopped?.();
  return printable(`stopped by ${signal}${more === undefined ? '' : `\n${more}`}`);
}

/**
 * Parses the command line; commander's own errors (unknown option, missing argument) leave in the
 * same form.
 */
export async function runProgram(program: Command, argv: readonly string[]): Promise<void> {
  // A reader that went away (`| head`) is no error.
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') process.stderr.write(`${formatError(error, false)}\n`);
    process.exit(error.code === 'EPIPE' ? EXIT.done : EXIT.input);
  });
  for (const command of [program, ...program.commands]) {
    command.exitOverride().configureOutput({
      outputError: (text, write) => write(printable(text.replace(/^error: /, 'error [INVALID_ARGUMENT]: '))),
    });
  }
  try {
    await program.parseAsync([...argv], { from: 'user' });
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    process.exitCode = error.exitCode === 0 ? EXIT.done : EXIT.input;
  }
}
