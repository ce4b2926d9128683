/**
 * Every field of PEFT's LoraConfig, and what becomes of it when an adapter is read: the one table,
 * from which docs/peft.md is made too. How the fields that are computed are read and written:
 * peft_config.ts. The list is that of PEFT 0.21.2, with two of its first versions.
 */
import { FusedLoraError } from '../base/errors';
import type { JsonObject } from '../io/json';
import { MAX_RANK } from './config';

/**
 * computed: it decides what is computed. record: it says where an adapter comes from. no effect: on
 * Linear layers of an encoder, or once the values are in the file. told: evaluation is that of
 * plain LoRA, and a line says what is not. refused: it changes the numbers in a way that is not
 * computed here.
 */
export type Treatment = 'computed' | 'record' | 'no effect' | 'told' | 'refused';

export interface PeftField {
  name: string;
  treatment: Treatment;
  /** The field of LoraConfig here. */
  option?: string;
  /** The command line's. */
  flag?: string;
  /** What it is, for docs and for the error. */
  about: string;
  /** For a refusal: the value that is taken. */
  off?: string;
  /** Told only where the adapter is to be trained on. */
  training?: true;
}

const computed = (name: string, option: string, flag: string, about: string): PeftField => ({
  name,
  treatment: 'computed',
  option,
  flag,
  about,
});
const record = (name: string, about: string): PeftField => ({ name, treatment: 'record', about });
const idle = (name: string, about: string): PeftField => ({ name, treatment: 'no effect', about });
const refused = (name: string, off: string, about: string): PeftField => ({ name, treatment: 'refused', about, off });

/** The table, in the order of docs/peft.md. */
export const PEFT_FIELDS: readonly PeftField[] = [
  computed('r', 'r', '--r', `1 to ${MAX_RANK}, at most min(in, out) of the module; a file may hold more than that`),
  computed('lora_alpha', 'loraAlpha', '--alpha', 'above 0; a file may hold 0 too'),
  computed('use_rslora', 'useRslora', '--rslora', ''),
  computed('lora_dropout', 'loraDropout', '--lora-dropout', '0 is the fast path'),
  computed(
    'target_modules',
    'targetModules',
    '--target-modules',
    'names or whole paths, a regular expression of the whole path, or `all-linear`; Linear modules only',
  ),
  computed('exclude_modules', 'excludeModules', '--exclude-modules', ''),
  computed(
    'layers_to_transform',
    'layersToTransform',
    '',
    'a whole path in `target_modules` is taken whatever its layer',
  ),
  computed('layers_pattern', 'layersPattern', '', ''),
  computed('rank_pattern', 'rankPattern', '', ''),
  computed('alpha_pattern', 'alphaPattern', '', ''),
  computed(
    'modules_to_save',
    'modulesToSave',
    '',
    'any ends of paths, embeddings and LayerNorms too; default: the head, as PEFT does for SEQ_CLS and TOKEN_CLS',
  ),
  computed('bias', 'bias', '--bias', 'none, all, lora_only'),
  computed('init_lora_weights', 'initLoraWeights', '', 'true, false, gaussian; what a file may say besides: below'),
  computed('task_type', 'task', '--task', "written from the model's task; read where nothing else says the task"),
  computed('peft_type', '', '', 'LORA'),
  record('base_model_name_or_path', "a folder from the adapter's folder up or from here, else a name on the hub"),
  record('revision', 'of the base model on the hub'),
  record('inference_mode', '`trainable` of `loadAdapter` decides'),
  record('auto_mapping', 'the class that the adapter was put on'),
  record('peft_version', ''),
  idle('fan_in_fan_out', 'PEFT itself takes false for a Linear'),
  idle('megatron_config', "for Megatron's own layers"),
  idle('megatron_core', "for Megatron's own layers"),
  idle('merge_weights', 'of PEFT 0.2'),
  idle('runtime_config', 'where PEFT computes'),
  idle('ensure_weight_tying', 'refused where a module to save shares its weight with another'),
  idle('loftq_config', 'of initial values'),
  idle('eva_config', 'of initial values'),
  idle('corda_config', 'of initial values'),
  idle('lora_ga_config', 'of initial values'),
  idle('qalora_group_size', 'of use_qalora'),
  {
    name: 'velora_config',
    treatment: 'told',
    training: true,
    about: 'VeLoRA compresses what training keeps; training on from here is plain LoRA',
  },
  {
    name: 'monteclora_config',
    treatment: 'told',
    about: 'MonteCLoRA draws noise in training; its sampler is left out, here and when saved again',
  },
  refused('use_dora', 'false', 'DoRA'),
  refused('use_qalora', 'false', 'QALoRA'),
  refused('use_bdlora', 'null', 'BD-LoRA, of block-diagonal matrices,'),
  refused('kasa_config', 'null', 'KaSA, which also cuts singular values off the base weights,'),
  refused('arrow_config', 'null', 'Arrow, which routes each token among adapters,'),
  refused('alora_invocation_tokens', 'null', 'activated LoRA'),
  refused('lora_bias', 'false', 'a bias of lora_B'),
  refused('layer_replication', 'null', 'a stack of replicated layers'),
  refused('target_parameters', 'null', 'LoRA on parameters that are no module'),
  refused('trainable_token_indices', 'null', 'training of single tokens'),
  refused('enable_lora', 'null', 'LoRA on parts of a merged matrix, of PEFT 0.2,'),
];

const byName = new Map(PEFT_FIELDS.map((field) => [field.name, field]));

/** Whether a value switches nothing on. */
function isOff(value: unknown): boolean {
  if (value === null || value === undefined || value === false || value === '') return true;
  return typeof value === 'object' && Object.keys(value).length === 0;
}

const CONVERSION =
  'Save it in PEFT with save_pretrained(…, path_initial_model_for_weight_conversion=…), which converts it to plain LoRA.';

/** What is known of a word of init_lora_weights, beside true, false and gaussian. */
const INITIAL: Readonly<Record<string, { told?: string; toldInTraining?: string; refused?: string }>> = {
  eva: {},
  orthogonal: {},
  mica: { toldInTraining: 'MiCA keeps B as it was made; training on from here changes it too' },
  corda: { told: 'CorDA' },
  lora_ga: { told: 'LoRA-GA' },
  pissa: { refused: 'PiSSA' },
  olora: { refused: 'OLoRA' },
  loftq: { refused: 'LoftQ' },
};

/** The entry of a value of init_lora_weights; undefined for one that is not known. */
export function initialValues(value: unknown): (typeof INITIAL)[string] | undefined {
  if (typeof value === 'boolean') return {};
  const word = String(value).toLowerCase();
  if (word === 'gaussian') return {};
  const name = /^pissa_niter_\d+$/.test(word) ? 'pissa' : word;
  return Object.hasOwn(INITIAL, name) ? INITIAL[name] : undefined;
}

/** A value for a message, not too long. */
function shown(value: unknown): string {
  const text = JSON.stringify(value);
  return text.length > 80 ? `${text.slice(0, 77)}…` : text;
}

/**
 * Refuses what changes the numbers and is not computed here, and fields that nobody knows, unless
 * they are switched off.
 *
 * @param json content of adapter_config.json.
 * @param training whether the adapter is to be trained on.
 * @returns lines about what is taken in another way than PEFT trains it.
 * @throws FusedLoraError INVALID_CONFIG naming file, field, value and what to do.
 */
export function checkPeftFields(json: JsonObject, file: string, training: boolean): string[] {
  const notices: string[] = [];
  const fail = (name: string, problem: string) =>
    new FusedLoraError('INVALID_CONFIG', `${file}: field "${name}" is ${shown(json[name])}; ${problem}`);
  for (const [name, value] of Object.entries(json)) {
    const field = byName.get(name);
    if (isOff(value)) continue;
    if (!field) {
      throw fail(
        name,
        'that field is not known here, and may change what is computed. Where it does not, take it out of the file.',
      );
    }
    if (field.treatment === 'refused') {
      throw fail(
        name,
        `expected ${field.off}: ${field.about} is not supported, and computed as plain LoRA the numbers would be wrong. ` +
          'Where PEFT can merge it (merge_and_unload), open the merged model.',
      );
    }
    if (field.treatment === 'told' && (training || !field.training)) notices.push(`${file}: ${name}: ${field.about}`);
  }
  const init = json['init_lora_weights'] ?? true;
  const known = initialValues(init);
  if (!known) throw fail('init_lora_weights', `expected ${INITIAL_WORDS}.`);
  if (known.refused) {
    throw fail(
      'init_lora_weights',
      `${known.refused} took its initial values out of the base weights, which PEFT does again when it loads the adapter; that is not supported. ${CONVERSION}`,
    );
  }
  if (known.told) {
    notices.push(
      `${file}: init_lora_weights: ${known.told} took its initial values out of the base weights. The adapter is right on the base that ` +
        `was saved with it, not on the original one. ${CONVERSION}`,
    );
  }
  if (training && known.toldInTraining) notices.push(`${file}: init_lora_weights: ${known.toldInTraining}`);
  return notices;
}

const INITIAL_WORDS = 'true, false, "gaussian", "eva", "orthogonal" or "mica"';

/**
 * Fields of methods whose training is not done here: switched off when an adapter is saved again.
 */
export const TRAINING_ONLY = PEFT_FIELDS.filter(({ treatment }) => treatment === 'told').map(({ name }) => name);

/** The tables of docs/peft.md: options of both, and fields of a file without an option here. */
export function peftFieldTables(): { options: string; others: string } {
  const code = (name: string | undefined) => (name ? `\`${name}\`` : '');
  const row = (...cells: string[]) => `|${cells.map((cell) => (cell === '' ? ' |' : ` ${cell} |`)).join('')}`;
  const options = PEFT_FIELDS.filter(({ option }) => option).map((field) =>
    row(code(field.name), code(field.option), code(field.flag), field.about),
  );
  const words: Record<Treatment, string> = {
    computed: 'computed',
    record: 'read',
    'no effect': 'no effect',
    told: 'read, and told',
    refused: 'refused',
  };
  const others = PEFT_FIELDS.filter(({ option }) => !option).map((field) =>
    row(code(field.name), words[field.treatment], field.about.replace(/,$/, '')),
  );
  return { options: options.join('\n'), others: others.join('\n') };
}
