/**
 * `fused-lora train`: fine-tuning on data files.
 * Its options are the whole option table; the job itself is src/task/fine_tune.ts.
 */
import { Command } from 'commander';
import { distributedByLauncher } from '../distributed/join';
import { formatTotals } from '../lora';
import { type FineTuneOptions, fineTune } from '../task/fine_tune';
import { OPTION_ROWS } from '../task/options/option_table';
import { resolveFineTune } from '../task/options/resolve_fine_tune';
import { showFigures } from './figures';
import { type MethodFlags, withLora } from './method';
import { addExamples, type OutputOptions } from './options';
import { progress } from './progress';
import { action } from './run';
import { followRun } from './run_files';
import { addGroup, addOutputOptions, libraryOptions, recordedDefaults } from './table_options';

export function trainCommand(): Command {
  const command = new Command('train').description(
    'fine-tune an encoder on labelled sentences or words: LoRA, everything, or the head alone',
  );
  const groups = new Set(OPTION_ROWS.map(({ group }) => group));
  for (const group of groups) if (group !== 'General') addGroup(command, group);
  addOutputOptions(command);
  addExamples(command, [
    'fused-lora train --model roberta-base/ --train train.tsv --dev dev.tsv --output my-adapter/',
    'fused-lora train --config train.jsonc --lr 3e-4 --output second-try/',
    'fused-lora train --config my-adapter/run_config.json --resume',
    'fused-lora train --model roberta-base/ --train ner.conll --task token-classification --metric f1 --dev dev.conll --output ner/',
  ]);
  return command.action(
    action(async (context, flags: MethodFlags & OutputOptions) => {
      const settings = withLora(flags, libraryOptions(OPTION_ROWS, { ...flags })) as unknown as FineTuneOptions;
      const distributed = settings.distributed ?? distributedByLauncher();
      const group = await context.join(distributed);
      // What is wrong with the options is told here, and the defaults that they leave stand in
      // run_config.json.
      const defaults = recordedDefaults(OPTION_ROWS, resolveFineTune(settings).settings);
      const quiet = flags.quiet === true || group.rank > 0;
      const shown = followRun(context, settings.outputDir, progress({ ...flags, quiet }), defaults);
      try {
        const { signal, say: onNotice } = context;
        const result = await fineTune({ ...settings, distributed, callbacks: [shown], signal, onNotice });
        shown.stop();
        const { textModel, ...figures } = result;
        textModel.model.dispose();
        if (group.rank > 0) return;
        const metrics = Object.entries(result.metrics ?? {}).map(([name, value]) => `${name} ${value.toFixed(4)}`);
        const lines = [
          formatTotals({ rows: [], ...result.parameters }),
          `${result.training.steps} steps, ${result.training.samplesPerSecond.toFixed(0)} samples/s`,
          ...(metrics.length > 0 ? [metrics.join(', ')] : []),
          `${result.output.kind} written to ${result.output.folder} (${(result.output.bytes / 1e6).toFixed(2)} MB)`,
          ...(result.report === undefined ? [] : [`report: ${result.report}`]),
        ];
        showFigures(flags.json, { command: 'train', ...figures }, `${lines.join('\n')}\n`);
      } finally {
        shown.stop();
      }
    }),
  );
}
