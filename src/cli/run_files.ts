/**
 * What commands that train leave beside their output, and how such a run goes on.
 * The file of options itself is written by config_file.ts.
 */
import * as path from 'node:path';
import { listCheckpoints } from '../train/checkpoint';
import { writeConfig } from './config_file';
import type { Progress } from './progress';
import type { CommandContext } from './run';

/** The options of a run with its defaults, which `--config` reads. */
const RUN_CONFIG = 'run_config.json';

/**
 * Makes a training command leave the file that repeats it once its training starts, and say how to
 * resume where it is stopped.
 *
 * @param defaults of options that were not given, by their flags without dashes.
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
