/**
 * What flags say of the adapter: those of LoRA belong to --method lora, and leave its defaults
 * where they say nothing. The flags themselves are rows of src/task/options/method_rows.ts.
 */
import { Option } from 'commander';
import { FusedLoraError } from '../base/errors';
import type { LoraConfig } from '../lora';
import type { Method } from '../task/method';
import { RUN_DEFAULTS } from '../task/options/defaults';
import { OPTION_ROWS } from '../task/options/option_table';
import { loraWithDefaults } from '../task/options/resolve_fine_tune';

/** Of those of `train` and `plan`. */
export interface MethodFlags {
  method?: Exclude<Method, object>;
  trainable?: string;
  subspace?: number;
  structure?: string;
  initAdapter?: string;
}

const LORA_FLAGS = OPTION_ROWS.filter(({ name }) => name.startsWith('lora.')).flatMap(({ flags }) => flags ?? []);

/**
 * The options with the whole configuration of the adapter, where the method has one.
 *
 * @throws FusedLoraError INVALID_ARGUMENT for an option of LoRA beside another method.
 */
export function withLora(flags: MethodFlags, options: Record<string, unknown>): Record<string, unknown> {
  const { method = RUN_DEFAULTS.method, initAdapter } = flags;
  const instead = (['trainable', 'subspace', 'structure'] as const).find((name) => flags[name] !== undefined);
  // What its files say holds, so that a default would contradict them.
  if (initAdapter !== undefined && method === 'lora' && instead === undefined) return options;
  if (method === 'lora' && instead === undefined) {
    return { ...options, lora: loraWithDefaults(options['lora'] as LoraConfig | undefined) };
  }
  const given = LORA_FLAGS.map((text) => new Option(text)).find((one) => one.attributeName() in flags);
  if (given === undefined) return options;
  throw new FusedLoraError(
    'INVALID_ARGUMENT',
    `${given.long} belongs to --method lora, but ${instead === undefined ? `--method ${method}` : `--${instead}`} is given. Leave one out.`,
  );
}
