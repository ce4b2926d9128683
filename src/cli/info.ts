/** `fused-lora info`: what this installation is and what it would compute on. */
import { Command } from 'commander';
import { version } from '../io/version';
import { native } from '../native';
import { chooseDevice, type DeviceOption } from '../task/device';
import { showFigures } from './figures';
import { addExamples, addOutputOptions, deviceOption, type OutputOptions } from './options';
import { action } from './run';

interface InfoOptions extends OutputOptions {
  device: DeviceOption;
}

export function infoCommand(): Command {
  const command = new Command('info')
    .description('show the version, the device that would be used and why')
    .optionsGroup('Device:')
    .addOption(deviceOption());
  addOutputOptions(command);
  addExamples(command, ['fused-lora info', 'fused-lora info --device cuda --json']);
  return command.action(
    action(async (_context, options: InfoOptions) => {
      const facts = native().info();
      const { backend, reason } = chooseDevice(options.device);
      const { cuda } = facts;
      const text = [
        `fused-lora ${version()}`,
        `node       ${process.versions.node} on ${process.platform}-${process.arch}`,
        `addon      ${facts.compiler}`,
        `cpu        ${facts.isa}, ${facts.threads} threads (FUSED_LORA_THREADS sets them)`,
        `cuda       ${cuda.available ? (cuda.device ?? 'available') : `not available: ${cuda.reason}`}`,
        `device     ${reason}`,
        '',
      ].join('\n');
      const figures = { version: version(), node: process.versions.node, ...facts, device: backend, reason };
      showFigures(options.json, figures, text);
    }),
  );
}
