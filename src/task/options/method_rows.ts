/**
 * Option table, second part: which parameters are trained, and the fields of a LoRA configuration.
 * Before it is input_rows.ts, after it training_rows.ts.
 */
import { LORA_PRESETS } from '../../lora';
import { LORA_DEFAULTS, RUN_DEFAULTS } from './defaults';
import type { OptionGroups } from './option_row';

export const METHOD_ROWS = {
  'What is trained': [
    {
      name: 'method',
      flags: '--method <name>',
      kind: { oneOf: ['lora', 'full', 'head'] },
      default: RUN_DEFAULTS.method,
      help: 'an adapter, everything, or the head alone',
      effect: 'which parameters are learnable; adapter or model folder',
    },
    {
      name: 'method.trainable',
      flags: '--trainable <regex>',
      kind: 'text',
      help: 'train just the parameters whose path it matches, in place of --method',
      effect: 'which parameters are learnable',
    },
    {
      name: 'lora.r',
      flags: '--r <rank>',
      kind: { whole: 0 },
      default: LORA_DEFAULTS.r,
      help: 'LoRA rank',
      effect: 'shapes of A and B',
    },
    {
      name: 'lora.loraAlpha',
      flags: '--alpha <x>',
      kind: 'number',
      default: LORA_DEFAULTS.loraAlpha,
      help: 'LoRA alpha; the scale is alpha / r',
      effect: 'lora_alpha; bits of B',
    },
    {
      name: 'lora.useRslora',
      flags: '--rslora',
      kind: 'flag',
      help: 'scale by alpha / √r',
      effect: 'use_rslora; bits of B',
    },
    {
      name: 'lora.loraDropout',
      flags: '--lora-dropout <p>',
      kind: 'number',
      says: '0, the fast path',
      help: "dropout on the adapters' input",
      effect: 'lora_dropout; bits of B',
    },
    {
      name: 'lora.targetModules',
      flags: '--target-modules <list|regex>',
      kind: 'targets',
      default: LORA_DEFAULTS.targetModules,
      help: 'names with commas, a regex on the whole path, or all-linear',
      effect: 'which modules have A and B',
    },
    {
      name: 'lora.excludeModules',
      flags: '--exclude-modules <list>',
      kind: 'names',
      help: 'names of modules that get no adapter',
      effect: 'which modules have A and B',
    },
    {
      name: 'lora.pattern',
      flags: '--preset <pattern>',
      kind: 'text',
      help: `regexes with ranks, query(4)|value(8), or a preset: ${Object.keys(LORA_PRESETS).join(', ')}`,
      effect: 'which modules have A and B, of which rank',
    },
    {
      name: 'lora.bias',
      flags: '--bias <which>',
      kind: { oneOf: ['none', 'all', 'lora_only'] },
      says: 'none',
      help: 'biases that are trained',
      effect: 'biases in the adapter file',
    },
    {
      name: 'lora.layersToTransform',
      kind: 'numbers',
      says: 'all layers',
      help: 'numbers of the layers that are adapted',
      effect: 'which modules have A and B',
    },
    {
      name: 'lora.layersPattern',
      kind: 'names',
      help: 'name of the list of layers, where a path holds several numbers',
      effect: 'which modules have A and B',
    },
    {
      name: 'lora.rankPattern',
      kind: 'code',
      says: 'r everywhere',
      help: 'ranks of modules whose path ends in a match of the key',
      effect: 'shapes of A and B',
    },
    {
      name: 'lora.alphaPattern',
      kind: 'code',
      says: 'loraAlpha everywhere',
      help: 'alphas of modules whose path ends in a match of the key',
      effect: 'alpha_pattern; bits of B',
    },
    {
      name: 'lora.modulesToSave',
      kind: 'names',
      says: 'the head',
      help: 'modules that are trained and saved whole',
      effect: 'modules in the adapter file',
    },
    {
      name: 'lora.initLoraWeights',
      kind: 'code',
      says: 'true',
      help: 'first values of A and B: true, false or gaussian',
      effect: 'bits of A and B',
    },
  ],
} as const satisfies OptionGroups;
