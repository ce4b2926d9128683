/** Options that say what of a model is trained: those of `train` and `plan`. */
import { type Command, Option } from 'commander';
import { FusedLoraError } from '../base/errors';
import { LORA_PRESETS, type LoraConfig } from '../lora';
import { FINE_TUNE_TASKS, type FineTuneTask } from '../task/fine_tune';
import type { Method } from '../task/method';
import { choice, compact, integer, list, number } from './options';

export interface TaskOptions {
  task?: FineTuneTask;
  labels?: string[];
  ignoreMismatchedSizes?: boolean;
}

export interface MethodOptions {
  method: 'lora' | 'full' | 'head';
  trainable?: string;
  r?: number;
  alpha?: number;
  rslora?: boolean;
  loraDropout?: number;
  targetModules?: string;
  excludeModules?: string[];
  preset?: string;
  bias?: 'none' | 'all' | 'lora_only';
}

export function addTaskOptions(command: Command): Command {
  return command
    .addOption(choice('--task <name>', 'what a label is (default: sequence-classification)', FINE_TUNE_TASKS))
    .option('--labels <names>', 'class names by id, with commas (default: those of the data)', list)
    .option('--ignore-mismatched-sizes', 'start a head of another shape anew');
}

export function addMethodOptions(command: Command): Command {
  return command
    .optionsGroup('What is trained:')
    .addOption(
      choice('--method <name>', 'an adapter, everything, or the head alone', ['lora', 'full', 'head']).default('lora'),
    )
    .option('--trainable <regex>', 'train just the parameters whose path it matches, in place of --method')
    .option('--r <rank>', 'LoRA rank (default: 8)', integer(0))
    .option('--alpha <x>', 'LoRA alpha; the scale is alpha / r (default: 16)', number)
    .option('--rslora', 'scale by alpha / √r')
    .option('--lora-dropout <p>', "dropout on the adapters' input (default: 0, the fast path)", number)
    .option('--target-modules <list|regex>', 'names with commas, a regex on the whole path, or all-linear (default)')
    .option('--exclude-modules <list>', 'names of modules that get no adapter', list)
    .addOption(presetOption())
    .addOption(choice('--bias <which>', 'biases that are trained (default: none)', ['none', 'all', 'lora_only']));
}

const presetOption = () =>
  new Option(
    '--preset <pattern>',
    `regexes with ranks, query(4)|value(8), or a preset: ${Object.keys(LORA_PRESETS).join(', ')}`,
  );

export function methodOf({ method, trainable }: MethodOptions): Method {
  return trainable === undefined ? method : { trainable };
}

const LORA_FLAGS = [
  'r',
  'alpha',
  'rslora',
  'loraDropout',
  'targetModules',
  'excludeModules',
  'preset',
  'bias',
] as const;

/** @throws FusedLoraError INVALID_ARGUMENT for an option of LoRA beside another method. */
export function loraOf(options: MethodOptions): LoraConfig {
  const given = LORA_FLAGS.find((name) => options[name] !== undefined);
  if (given && (options.method !== 'lora' || options.trainable !== undefined)) {
    const flag = given.replace(/[A-Z]/g, (c) => `-${c.toLowerCase()}`);
    throw new FusedLoraError(
      'INVALID_ARGUMENT',
      `--${flag} belongs to --method lora, but ${options.trainable === undefined ? `--method ${options.method}` : '--trainable'} is given. Leave one out.`,
    );
  }
  const { targetModules, preset } = options;
  return compact({
    r: options.r ?? 8,
    loraAlpha: options.alpha ?? (preset === undefined ? 16 : undefined),
    useRslora: options.rslora,
    loraDropout: options.loraDropout,
    targetModules:
      targetModules === undefined ? (preset === undefined ? 'all-linear' : undefined) : targetsOf(targetModules),
    excludeModules: options.excludeModules,
    pattern: preset,
    bias: options.bias,
  });
}

/** `query,value` is a list of names; whatever has a sign of regular expressions, or is all-linear, stays a string. */
function targetsOf(text: string): string | string[] {
  return text === 'all-linear' || /[\\^$*+?()[\]{}|]/.test(text) ? text : list(text);
}
