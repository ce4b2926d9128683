/**
 * Processes that load the addon whose CUDA kernels run on the CPU
 * (native/emulator), with what is to go wrong in them: the chain from the
 * CUDA runtime's answer to the user's message, where there is no GPU.
 */
import { execFile } from 'node:child_process';
import * as fs from 'node:fs';
import * as path from 'node:path';
import { commandLine } from '../cli/program';

const ROOT = path.join(__dirname, '..', '..');
const EMULATED = path.join(ROOT, 'build', 'emulated');

export interface Outcome {
  code: number;
  stdout: string;
  stderr: string;
}

/**
 * Runs a TypeScript file (from the root) so. `fault`: what
 * FUSED_LORA_EMULATOR_FAULT takes (native/emulator/faults.h).
 */
export function runEmulated(
  file: string,
  args: readonly string[] = [],
  { fault = '', env = {} }: { fault?: string; env?: NodeJS.ProcessEnv } = {},
): Promise<Outcome> {
  const variables = { FUSED_LORA_PREBUILD: EMULATED, FUSED_LORA_EMULATOR_FAULT: fault, NODE_OPTIONS: '' };
  return new Promise((resolve) => {
    execFile(
      process.execPath,
      [...(file === 'src/cli/main.ts' ? commandLine() : ['--require', 'tsx/cjs', path.join(ROOT, file)]), ...args],
      { cwd: ROOT, env: { ...process.env, ...variables, ...env }, maxBuffer: 2 ** 26 },
      (error, stdout, stderr) => resolve({ code: error ? Number(error.code ?? 1) : 0, stdout, stderr }),
    );
  });
}

/** `describe`, or a skipped one whose title says why. */
export function describeEmulated(title: string, body: () => void): void {
  const built = fs.existsSync(path.join(EMULATED, 'build', 'Release', 'fused-lora.node'));
  if (built) describe(title, body);
  else describe.skip(`${title}: there is no build/emulated (node scripts/setup.mjs --test)`, body);
}
