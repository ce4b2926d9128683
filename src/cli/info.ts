/** `fused-lora info`: what this installation is and what it would compute on. */
import { Command } from 'commander';
import { writeFileAtomic } from '../io/atomic';
import { version } from '../io/version';
import { native } from '../native';
import { chooseDevice } from '../task/device';
import { deviceOption } from './options';
import { action } from './run';

interface InfoOptions {
  device: 'auto' | 'cpu' | 'cuda';
  json?: string;
}

export function infoCommand(): Command {
  return new Command('info')
    .description('show the version, the device that would be used and why')
    .addOption(deviceOption())
    .option('--json <file>', 'write the facts as JSON')
    .option('--verbose', 'errors with their stack')
    .action(
      action(async (_context, options: InfoOptions) => {
        const facts = native().info();
        const { backend, reason } = chooseDevice(options.device);
        const { cuda } = facts;
        process.stdout.write(
          [
            `fused-lora ${version()}`,
            `node       ${process.versions.node} on ${process.platform}-${process.arch}`,
            `addon      ${facts.compiler}`,
            `cpu        ${facts.isa}, ${facts.threads} threads (FUSED_LORA_THREADS sets them)`,
            `cuda       ${cuda.available ? (cuda.device ?? 'available') : `not available: ${cuda.reason}`}`,
            `device     ${reason}`,
            '',
          ].join('\n'),
        );
        if (options.json) {
          const json = { version: version(), node: process.versions.node, ...facts, device: backend, reason };
          writeFileAtomic(options.json, `${JSON.stringify(json, null, 2)}\n`);
        }
      }),
    );
}
