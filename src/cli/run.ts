/**
 * How every command runs: errors as one line, Ctrl-C as an AbortSignal, exit codes.
 *
 * Exit codes: 0 done; 1 an error of use, data or machine; 130 stopped by Ctrl-C (143 by SIGTERM), after a checkpoint where
 * the command writes some.
 */
import { type Command, CommanderError } from 'commander';
import { FusedLoraError } from '../errors';

export const EXIT_ERROR = 1;
const EXIT_OF_SIGNAL = { SIGINT: 130, SIGTERM: 143 } as const;

export interface CommandContext {
  /** Aborted by the first Ctrl-C. */
  signal: AbortSignal;
  /** A line for people: to stderr, so that stdout holds results alone. */
  say(line: string): void;
}

/** `error [CODE]: message`; with `verbose` the stack and the causes too. */
export function formatError(error: unknown, verbose: boolean): string {
  const code = error instanceof FusedLoraError ? error.code : systemCodeOf(error);
  const message = error instanceof Error ? error.message : String(error);
  const lines = [`error [${code}]: ${message}`];
  if (verbose) {
    for (let e: unknown = error; e instanceof Error; e = e.cause) {
      lines.push(e === error ? (e.stack ?? '') : `caused by: ${e.stack ?? e.message}`);
    }
  } else if (code === 'INTERNAL') lines.push('This is a bug. Run again with --verbose and report what it prints.');
  return lines.join('\n');
}

function systemCodeOf(error: unknown): string {
  const code = (error as { code?: unknown } | null)?.code;
  return typeof code === 'string' ? code : 'INTERNAL';
}

/**
 * The action of a command: gives it a context, then sets the exit code. The second signal ends the process at once.
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
    const onSignal = (name: keyof typeof EXIT_OF_SIGNAL) => {
      if (received) process.exit(EXIT_OF_SIGNAL[name]);
      received = name;
      process.stderr.write('\nstopping after the running op; once more ends at once\n');
      controller.abort(new FusedLoraError('ABORTED', `stopped by ${name}`));
    };
    const onInterrupt = () => onSignal('SIGINT');
    const onTerminate = () => onSignal('SIGTERM');
    process.on('SIGINT', onInterrupt);
    process.on('SIGTERM', onTerminate);
    const context: CommandContext = {
      signal: controller.signal,
      say: (line) => process.stderr.write(`${line}\n`),
    };
    try {
      await body(context, ...args);
      process.exitCode = 0;
    } catch (error) {
      const stopped = received !== undefined && error instanceof FusedLoraError && error.code === 'ABORTED';
      process.stderr.write(`${stopped ? error.message : formatError(error, verbose)}\n`);
      process.exitCode = stopped && received ? EXIT_OF_SIGNAL[received] : EXIT_ERROR;
    } finally {
      process.off('SIGINT', onInterrupt);
      process.off('SIGTERM', onTerminate);
    }
  };
}

/** Parses the command line; commander's own errors (unknown option, missing argument) leave in the same form. */
export async function runProgram(program: Command, argv: readonly string[]): Promise<void> {
  // A reader that went away (`| head`) is no error.
  process.stdout.on('error', (error: NodeJS.ErrnoException) => process.exit(error.code === 'EPIPE' ? 0 : EXIT_ERROR));
  for (const command of [program, ...program.commands]) {
    command.exitOverride().configureOutput({
      outputError: (text, write) => write(text.replace(/^error: /, 'error [INVALID_ARGUMENT]: ')),
    });
  }
  try {
    await program.parseAsync([...argv], { from: 'user' });
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    process.exitCode = error.exitCode;
  }
}
