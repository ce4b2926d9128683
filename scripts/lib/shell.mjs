/**
 * Running programs from the set-up scripts. Node built-ins
 * only: these scripts run before node_modules exist.
 * Which programs must be there at all: system.mjs.
 */
import { spawn, spawnSync } from 'node:child_process';
import { accessSync, constants, existsSync } from 'node:fs';
import { delimiter, dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The package's root folder. */
export const root = resolve(dirname(fileURLToPath(import.meta.url)), '..', '..');

/** Prints one line of progress. */
export function say(message) {
  process.stdout.write(`[fused-lora] ${message}\n`);
}

/** Prints the reason and ends the process with exit code 1. */
export function fail(message) {
  process.stderr.write(`[fused-lora] ${message}\n`);
  process.exit(1);
}

/** Full path of a command on PATH, or undefined. */
export function which(command) {
  for (const folder of (process.env.PATH ?? '').split(delimiter)) {
    const file = join(folder, command);
    if (folder === '' || !existsSync(file)) continue;
    try {
      accessSync(file, constants.X_OK);
      return file;
    } catch {
      // Not executable: look further along PATH.
    }
  }
  return undefined;
}

/**
 * Runs a program to its end. `quiet` holds its output back
 * and returns it; otherwise it goes to the terminal.
 * @returns status (exit code; 1 where it could not start or was killed) and output.
 */
export function run(command, args, { quiet = false, cwd = root, env = process.env, timeoutMs } = {}) {
  const result = spawnSync(command, args, {
    cwd,
    env,
    timeout: timeoutMs,
    encoding: 'utf8',
    maxBuffer: 256 * 1024 * 1024,
    stdio: quiet ? ['ignore', 'pipe', 'pipe'] : ['ignore', 'inherit', 'inherit'],
  });
  let output = `${result.stdout ?? ''}${result.stderr ?? ''}`;
  if (result.error) {
    const reason =
      result.error.code === 'ETIMEDOUT' ? `did not end within ${timeoutMs / 1000} s` : result.error.message;
    output += `\n${command}: ${reason}\n`;
  } else if (result.signal) {
    output += `\n${command}: killed by ${result.signal}\n`;
  }
  return { status: result.status ?? 1, output };
}

/**
 * `run`, quiet and beside others.
 * @returns a promise of status and output, standard output and standard error as they came.
 */
export function runBeside(command, args, { cwd = root, env = process.env, timeoutMs } = {}) {
  return new Promise((resolve) => {
    const child = spawn(command, args, { cwd, env, timeout: timeoutMs, stdio: ['ignore', 'pipe', 'pipe'] });
    let output = '';
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8');
      stream.on('data', (text) => {
        output += text;
      });
    }
    child.on('error', (error) => resolve({ status: 1, output: `${output}\n${command}: ${error.message}\n` }));
    child.on('close', (status, signal) => {
      if (signal) output += `\n${command}: killed by ${signal}${child.killed ? `, after ${timeoutMs / 1000} s` : ''}\n`;
      resolve({ status: status ?? 1, output });
    });
  });
}

/** Runs a program quietly; on failure shows all that it printed and ends the process. */
export function mustRun(what, command, args, options = {}) {
  const result = run(command, args, { quiet: true, ...options });
  if (result.status !== 0) {
    process.stderr.write(result.output);
    fail(`${what} failed: ${command} ${args.join(' ')} ended with exit code ${result.status}`);
  }
  return result.output;
}
