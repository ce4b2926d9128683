/**
 * `fused-lora report`: one HTML file about a training run, or several compared.
 * The page is made in src/report.
 */
import * as fs from 'node:fs';
import * as path from 'node:path';
import { Command } from 'commander';
import { FusedLoraError } from '../base/errors';
import { printable } from '../base/printable';
import { writeFileAtomic } from '../io/atomic';
import { readRecord, renderReport } from '../report';
import { addExamples, type OutputOptions } from './options';
import { action } from './run';
import { addOutputOptions } from './table_options';

interface ReportOptions extends Pick<OutputOptions, 'quiet'> {
  output: string;
}

export function reportCommand(): Command {
  const command = new Command('report')
    .description('show training runs in one HTML file: one by itself, several compared')
    .argument('<runs...>', 'output folders of train or pretrain, or their event logs')
    .optionsGroup('Output:')
    .option('--output <file>', 'the HTML file, which needs no other file and no network', 'report.html');
  addOutputOptions(command, { figures: false });
  addExamples(command, ['fused-lora report my-adapter/', 'fused-lora report runs/* --output comparison.html']);
  return command.action(
    action(async (context, runs: string[], options: ReportOptions) => {
      // `runs/*` names whatever lies there.
      const withLog = runs.filter((run) => {
        const isRun =
          !fs.existsSync(run) || !fs.statSync(run).isDirectory() || fs.existsSync(path.join(run, 'events.jsonl'));
        if (!isRun) context.say(`${run}: has no events.jsonl, left out`);
        return isRun;
      });
      if (withLog.length === 0) {
        throw new FusedLoraError(
          'FILE_NOT_FOUND',
          `${runs.join(', ')}: has no events.jsonl. Give output folders of train or pretrain.`,
        );
      }
      const records = withLog.map(readRecord);
      // Runs of one name are told apart by their folders.
      const names = records.map(({ name }) => name);
      records.forEach((record, i) => {
        if (names.filter((name) => name === record.name).length > 1) record.name = path.normalize(withLog[i] as string);
      });
      writeFileAtomic(options.output, renderReport(records));
      process.stdout.write(`${printable(options.output)}\n`);
    }),
  );
}
