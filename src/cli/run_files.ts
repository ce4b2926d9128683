/** What commands that train leave beside their output, and how such a run goes on. */
import * as path from 'node:path';
import { listCheckpoints } from '../train/checkpoint';
import { writeConfig } from './config_file';
import type { TrainingOptions } from './options';
import type { Progress } from './progress';
import type { CommandContext } from './run';

/** The options of a run with its defaults, which `--config` reads. */
const RUN_CONFIG = 'run_config.json';

/** Defaults by the names that they have in the library. */
interface Defaults {
  epochs: number;
  gradientAccumulation: number;
  schedule: string;
  warmupRatio: number;
  weightDecay: number;
  maxGradNorm: number;
  checkpointEvery: number | 'epoch';
  checkpointLimit: number;
  seed: number;
}

/**
 * Values of training options that were not given, by their flags. The batch size is not among them: a checkpoint tells a size that was
 * given from one that was not.
 */
export function trainingDefaults(options: TrainingOptions, defaults: Defaults): Record<string, unknown> {
  return {
    ...(options.maxSteps === undefined && { epochs: defaults.epochs }),
    ...(options.warmupSteps === undefined && { 'warmup-ratio': defaults.warmupRatio }),
    'gradient-accumulation': defaults.gradientAccumulation,
    schedule: defaults.schedule,
    'weight-decay': defaults.weightDecay,
    'max-grad-norm': defaults.maxGradNorm,
    'checkpoint-every': defaults.checkpointEvery,
    'checkpoint-limit': defaults.checkpointLimit,
    seed: defaults.seed,
  };
}

/**
 * Makes a training command leave the file that repeats it once its training starts, and say how to resume where it is stopped.
 *
 * @returns what shows the run, with that added.
 */
export function followRun(
  context: CommandContext,
  output: string,
  shown: Progress,
  defaults: Record<string, unknown>,
): Progress {
  const config = path.join(output, RUN_CONFIG);
  const command = context.command;
  context.onStopped = () => {
    shown.stop();
    const newest = listCheckpoints(output).at(-1);
    if (!newest) return 'no step was done: there is nothing to go on from';
    const resume = `fused-lora ${command.name()} --config ${quoted(config)} --resume`;
    return `checkpoint of step ${newest.step}: ${newest.path}\ngo on with: ${resume}`;
  };
  return {
    ...shown,
    onStart: (event) => {
      writeConfig(command, config, defaults);
      return shown.onStart?.(event);
    },
  };
}

/** For a shell, where it needs that. */
const quoted = (text: string) => (/^[\w./:@%+=,-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`);
