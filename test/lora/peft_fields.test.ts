/**
 * PEFT's fields: the table is complete, the page is made
 * from it, and what it says of a field happens.
 */
import * as fs from 'node:fs';
import * as path from 'node:path';
import { type JsonObject, readJsonObject } from '../../src/io/json';
import { addAdapter, loadAdapter, saveAdapter } from '../../src/lora';
import { PEFT_FIELDS, peftFieldTables } from '../../src/lora/peft_fields';
import { errorMessage, temporaryFolder } from '../io/temporary';
import { fillAdapters, tinyRoberta } from './models';

const FIXTURE = path.join(__dirname, '..', 'fixtures', 'adapters', 'velora', 'adapter_config.json');
const CONFIG = 'adapter_config.json';

/** An adapter whose configuration has more fields. */
function adapterWith(fields: JsonObject): string {
  const model = tinyRoberta();
  addAdapter(model, { r: 2, targetModules: ['key'] });
  fillAdapters(model);
  const dir = saveAdapter(model, path.join(temporaryFolder(), 'adapter'));
  const file = path.join(dir, CONFIG);
  fs.writeFileSync(file, JSON.stringify({ ...readJsonObject(file, '', 'INTERNAL'), ...fields }));
  return dir;
}

function load(fields: JsonObject): string[] {
  const notices: string[] = [];
  loadAdapter(tinyRoberta(), adapterWith(fields), { onNotice: (line) => notices.push(line) });
  return notices;
}

it('has every field that PEFT 0.21.2 writes', () => {
  const names = PEFT_FIELDS.map(({ name }) => name);
  expect(new Set(names).size).toBe(names.length);
  const written = Object.keys(JSON.parse(fs.readFileSync(FIXTURE, 'utf8')) as JsonObject);
  expect(written.length).toBeGreaterThan(35);
  expect(names).toEqual(expect.arrayContaining([...written, 'runtime_config']));
});

it('is what docs/peft.md says', () => {
  const page = fs.readFileSync(path.join(__dirname, '..', '..', 'docs', 'peft.md'), 'utf8');
  const { options, others } = peftFieldTables();
  expect(page).toContain(`\n${options}\n`);
  expect(page).toContain(`\n${others}\n`);
});

/** A value that switches a field on. */
const ON: Readonly<Record<string, unknown>> = {
  use_dora: true,
  use_qalora: true,
  use_bdlora: { nblocks: 2 },
  kasa_config: { beta: 0.1 },
  arrow_config: { top_k: 1 },
  alora_invocation_tokens: [3],
  lora_bias: true,
  layer_replication: [[0, 1]],
  target_parameters: ['a.b'],
  trainable_token_indices: { word_embeddings: [1] },
  enable_lora: [true, false],
};

const refusals = PEFT_FIELDS.filter(({ treatment }) => treatment === 'refused').map(({ name }) => name);

it.each(refusals)('%s is refused by name where it is on, and read where it is off', (name) => {
  const message = errorMessage('INVALID_CONFIG', () => load({ [name]: ON[name] as JsonObject }));
  expect(message).toContain(CONFIG);
  expect(message).toContain(`field "${name}" is ${JSON.stringify(ON[name])}`);
  expect(load({ [name]: null })).toEqual([]);
});

it.each(PEFT_FIELDS.filter(({ treatment }) => treatment === 'no effect').map(({ name }) => name))(
  '%s changes nothing',
  (name) => {
    expect(load({ [name]: name === 'ensure_weight_tying' ? true : { a: 1 } })).toEqual([]);
  },
);

it('a field that nobody knows is read while it is off, and refused by name else', () => {
  for (const off of [null, false, '', [], {}]) expect(load({ field_of_tomorrow: off })).toEqual([]);
  for (const on of [true, 1, 'x', [0], { a: null }]) {
    expect(errorMessage('INVALID_CONFIG', () => load({ field_of_tomorrow: on }))).toContain(
      `field "field_of_tomorrow" is ${JSON.stringify(on)}; that field is not known here`,
    );
  }
});

it.each([
  ['eva', 0],
  ['orthogonal', 0],
  ['mica', 0],
  ['GAUSSIAN', 0],
  ['corda', 1],
  ['lora_ga', 1],
])('init_lora_weights %s is read, with %s notices', (value, notices) => {
  expect(load({ init_lora_weights: value })).toHaveLength(notices);
});

it.each(['pissa', 'pissa_niter_4', 'olora', 'loftq'])('init_lora_weights %s is refused with the way out', (value) => {
  const message = errorMessage('INVALID_CONFIG', () => load({ init_lora_weights: value }));
  expect(message).toContain('path_initial_model_for_weight_conversion');
});

it('errors about what the file asks for name the file and its fields', () => {
  const file = (code: 'INVALID_LORA' | 'INVALID_CONFIG', fields: JsonObject) => {
    const message = errorMessage(code, () => load(fields));
    expect(message).toMatch(/^\/.*adapter_config\.json: /);
    return message;
  };
  expect(file('INVALID_CONFIG', { r: 1e9 })).toContain('"r"');
  expect(file('INVALID_LORA', { target_modules: '(key' })).toContain('target_modules holds "(key"');
  expect(file('INVALID_LORA', { target_modules: ['q_proj'] })).toContain('target_modules ["q_proj"] matches no module');
  expect(file('INVALID_LORA', { rank_pattern: { 'k(?P<': 2 } })).toContain('rank_pattern holds');
  expect(file('INVALID_LORA', { target_modules: '.*key', layers_to_transform: [1] })).toContain(
    'layers_to_transform needs target_modules to be a list',
  );
  expect(file('INVALID_LORA', { modules_to_save: ['head'] })).toContain('modules_to_save ["head"] matches no module');
  expect(file('INVALID_CONFIG', { rank_pattern: { key: 0 } })).toContain('rank_pattern.key');
  expect(load({ lora_alpha: 0 })).toEqual([]);
});
