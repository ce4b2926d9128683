/**
 * `fused-lora info`: what this installation is and what it would compute on.
 * Devices are chosen in src/task/device.ts, precisions in src/graph/precision.ts.
 */
import { Command } from 'commander';
import { VERSION } from '../base/version';
import { chooseDevice, type DeviceOption } from '../graph/device';
import { choosePrecision, type Precision, type PrecisionOption } from '../graph/precision';
import { addonFile, type CudaInfo, native } from '../native';
import { showFigures } from './figures';
import { addExamples, type OutputOptions } from './options';
import { action } from './run';
import { addGroup, addOutputOptions } from './table_options';

interface InfoOptions extends OutputOptions {
  device?: DeviceOption;
  precision?: PrecisionOption;
}

const bf16Reason = (precision: Precision) =>
  precision === 'bf16' ? 'the device has bf16 instructions' : 'the device has no bf16 instructions';

export function infoCommand(): Command {
  const command = new Command('info').description('show the version, the device that would be used and why');
  addOutputOptions(addGroup(command, 'Device'));
  addExamples(command, ['fused-lora info', 'fused-lora info --device cuda --json']);
  return command.action(
    action(async (_context, options: InfoOptions) => {
      const facts = native().info();
      const { backend, reason } = chooseDevice(options.device);
      const precision = choosePrecision(options.precision, backend);
      const { cuda } = facts;
      const text = [
        `fused-lora ${VERSION}`,
        `node       ${process.versions.node} on ${process.platform}-${process.arch}`,
        `addon      ${addonFile()}, by ${facts.compiler}`,
        `cpu        ${facts.isa}, ${facts.threads} threads (FUSED_LORA_THREADS sets them)`,
        ...cudaLines(cuda),
        `device     ${reason}`,
        `precision  ${precision}: ${(options.precision ?? 'auto') === 'auto' ? bf16Reason(precision) : 'asked for'}`,
        '',
      ].join('\n');
      const figures = { version: VERSION, node: process.versions.node, ...facts, device: backend, reason, precision };
      showFigures(options.json, figures, text);
    }),
  );
}

const cudaVersion = (number: number | undefined) =>
  number ? `${Math.floor(number / 1000)}.${Math.floor((number % 1000) / 10)}` : 'none';
const gibibytes = (bytes: number | undefined) => `${((bytes ?? 0) / 2 ** 30).toFixed(1)} GiB`;

/** What was found, and why it can not be used where it can not. */
function cudaLines(cuda: CudaInfo): string[] {
  const lines = cuda.available
    ? [`cuda       ${cuda.device}, ${gibibytes(cuda.freeBytes)} of ${gibibytes(cuda.totalBytes)} free`]
    : [`cuda       not available (${cuda.cause}): ${cuda.reason}`];
  if (cuda.built) {
    lines.push(
      `           driver for CUDA ${cudaVersion(cuda.driver)}, build for CUDA ${cudaVersion(cuda.runtime)}, ` +
        `steps ${cuda.graphs ? 'as CUDA graphs' : 'launch by launch (FUSED_LORA_CUDA_GRAPHS=off)'}`,
    );
  }
  return lines;
}
