/** adapter_config.json: PEFT's form of a configuration, read and written. */
import { z } from 'zod';
import type { JsonObject } from '../io/json';
import { expected, validate } from '../io/validate';
import type { LoraConfig, ResolvedLoraConfig } from './config';
import { DUMMY_TARGET } from './match';
import type { AdapterEntry } from './registry';

const names = z.union([expected.string(), z.array(expected.string())], { error: 'a string or a list of strings' });
const numbers = z.union([expected.integer(0), z.array(expected.integer(0))], {
  error: 'a number or a list of numbers',
});
const byPattern = z.record(z.string(), z.number({ error: 'a number' }), { error: 'an object from names to numbers' });

/** A field that changes what an adapter computes, in a way that is not implemented. */
const off = (error: string) => z.union([z.null(), z.literal(false)], { error }).optional();
const empty = (error: string) => z.union([z.null(), z.array(z.unknown()).max(0)], { error }).optional();

/** Fields not named here are tolerated: PEFT gains some with every version. */
const fields = z.object({
  peft_type: z.literal('LORA', { error: '"LORA", the only method that is supported' }),
  r: expected.integer(1).default(8),
  lora_alpha: expected.number(0, 1e9).default(8),
  lora_dropout: expected.number(0, 1).default(0),
  target_modules: names.nullish(),
  exclude_modules: names.nullish(),
  layers_to_transform: numbers.nullish(),
  layers_pattern: names.nullish(),
  rank_pattern: byPattern.nullish(),
  alpha_pattern: byPattern.nullish(),
  modules_to_save: z.array(expected.string(), { error: 'a list of names' }).nullish(),
  bias: expected.oneOf(['none', 'all', 'lora_only']).default('none'),
  use_rslora: expected.boolean().default(false),
  init_lora_weights: z
    .union([z.boolean(), z.enum(['gaussian', 'eva', 'orthogonal'])], {
      error: 'true, false, "gaussian", "eva" or "orthogonal"; the other methods change the base weights',
    })
    .default(true),
  use_dora: off('false: DoRA is not supported'),
  use_qalora: off('false: QALoRA is not supported'),
  lora_bias: off('false: a bias of lora_B is not supported'),
  layer_replication: empty('null: replicated layers are not supported'),
  target_parameters: empty('null: only modules can be targets'),
  trainable_token_indices: empty('null: trainable tokens are not supported'),
  alora_invocation_tokens: empty('null: activated LoRA is not supported'),
});

/**
 * Reads adapter_config.json.
 *
 * @throws FusedLoraError INVALID_CONFIG naming the field, its value and what is expected.
 */
export function configFromPeft(json: JsonObject, file: string): LoraConfig {
  const c = validate(fields, json, file);
  const some = <T>(value: T | null | undefined) => value ?? undefined;
  const layers = some(c.layers_to_transform);
  const layersPattern = some(c.layers_pattern);
  const init = c.init_lora_weights;
  return {
    r: c.r,
    loraAlpha: c.lora_alpha,
    loraDropout: c.lora_dropout,
    useRslora: c.use_rslora,
    targetModules: some(c.target_modules),
    excludeModules: c.exclude_modules?.length ? c.exclude_modules : undefined,
    layersToTransform: Array.isArray(layers) && layers.length === 0 ? undefined : layers,
    layersPattern: layersPattern?.length ? layersPattern : undefined,
    rankPattern: some(c.rank_pattern),
    alphaPattern: some(c.alpha_pattern),
    modulesToSave: c.modules_to_save ?? [],
    bias: c.bias,
    initLoraWeights: init === 'eva' || init === 'orthogonal' ? true : init,
  };
}

const TASK_TYPES: Readonly<Record<string, string>> = {
  'sequence-classification': 'SEQ_CLS',
  'multi-label-classification': 'SEQ_CLS',
  regression: 'SEQ_CLS',
  'token-classification': 'TOKEN_CLS',
};

/** What the configuration says of target modules, in PEFT's words: patterns and all-linear become paths, with ranks and alphas by path. */
function peftTargets(config: ResolvedLoraConfig, targets: AdapterEntry['targets']): JsonObject {
  const byPath = config.pattern !== undefined;
  const allLinear = typeof config.targetModules === 'string' && config.targetModules.toLowerCase() === 'all-linear';
  if (!byPath && !allLinear) {
    return {
      target_modules: config.targetModules,
      rank_pattern: config.rankPattern,
      alpha_pattern: config.alphaPattern,
      lora_alpha: config.loraAlpha ?? config.r,
    };
  }
  const paths = targets.map(({ path }) => path).sort();
  const alpha = config.loraAlpha ?? config.r;
  const other = (value: (target: (typeof targets)[number]) => number, usual: number) =>
    Object.fromEntries(targets.filter((t) => value(t) !== usual).map((t) => [t.path, value(t)]));
  return {
    // PEFT's own word for an adapter that has no target, only modules to save.
    target_modules: paths.length > 0 ? paths : DUMMY_TARGET,
    rank_pattern: byPath ? other((t) => t.rank, config.r) : config.rankPattern,
    alpha_pattern: byPath ? other((t) => t.alpha, alpha) : config.alphaPattern,
    lora_alpha: alpha,
  };
}

export interface PeftConfigOptions {
  /** What the adapter belongs on; kept from the file that it came from where not given. */
  baseModel?: string | undefined;
  /** Its revision on the hub. */
  revision?: string | undefined;
  /** The model's task. */
  task?: string | undefined;
}

/** adapter_config.json of an adapter, keys in PEFT's (alphabetical) order; fields of the file it came from are kept. */
export function configToPeft(entry: AdapterEntry, options: PeftConfigOptions): JsonObject {
  const { config, json, saved } = entry;
  const all: JsonObject = {
    auto_mapping: null,
    base_model_name_or_path: null,
    exclude_modules: config.excludeModules ?? null,
    fan_in_fan_out: false,
    layers_pattern: config.layersPattern ?? null,
    layers_to_transform: config.layersToTransform ?? null,
    revision: null,
    use_dora: false,
    ...json,
    ...peftTargets(config, entry.targets),
    bias: config.bias,
    inference_mode: true,
    init_lora_weights: config.initLoraWeights,
    lora_dropout: config.loraDropout,
    modules_to_save: config.modulesToSave ?? (saved.length > 0 ? saved : null),
    peft_type: 'LORA',
    r: config.r,
    task_type: json?.['task_type'] ?? TASK_TYPES[options.task ?? ''] ?? null,
    use_rslora: config.useRslora,
  };
  if (options.baseModel !== undefined) {
    all['base_model_name_or_path'] = options.baseModel;
    all['revision'] = options.revision ?? null;
  }
  return Object.fromEntries(Object.entries(all).sort(([a], [b]) => (a < b ? -1 : 1)));
}
