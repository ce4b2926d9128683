/**
 * Adapters of every form that PEFT 0.21.2 reads (test/fixtures/adapters): the same logits, or a
 * refusal that names the field.
 */
import * as fs from 'node:fs';
import * as path from 'node:path';
import { plan } from '../../src/graph/plan';
import { Program } from '../../src/graph/program';
import { adapterFacts, loadAdapter, mergeAndUnload, saveAdapter } from '../../src/lora';
import { loadModel, saveModel, type TaskModel } from '../../src/models';
import { trace } from '../../src/nn';
import { errorMessage, temporaryFolder } from '../io/temporary';
import { batchOf, oracleFile, readJson } from '../oracle/cases';

const ADAPTERS = path.join(__dirname, '..', 'fixtures', 'adapters');

interface StoredAdapter {
  name: string;
  model: string;
  batch: string;
  refused?: string;
  inner?: string;
  resize?: number;
  logits?: number[][];
}

const { cases } = JSON.parse(fs.readFileSync(path.join(ADAPTERS, 'cases.json'), 'utf8')) as { cases: StoredAdapter[] };
const folderOf = (name: string) => path.join(ADAPTERS, name);
const base = (stored: StoredAdapter) => loadModel(oracleFile(`models/${stored.model}`)).model;

async function logits(model: TaskModel, stored: StoredAdapter): Promise<Float32Array> {
  const content = readJson<Parameters<typeof batchOf>[0]>(`batches/${stored.batch}.json`);
  if (stored.resize) content.inputIds[1] = stored.resize - 1;
  const graph = trace(model, { training: false, loss: false });
  using program = new Program(plan(graph, { train: false, fused: true }), { backend: 'cpu' });
  await program.forward(batchOf(content, model), { seed: 1n });
  return Float32Array.from(program.read('logits'));
}

/** The largest difference, relative to the largest value. */
function difference(got: Float32Array, want: readonly number[]): number {
  expect(got).toHaveLength(want.length);
  const largest = Math.max(...want.map(Math.abs));
  return Math.max(...got.map((value, i) => Math.abs(value - (want[i] as number)))) / largest;
}

const readable = cases.filter(({ refused }) => !refused);

describe.each(readable.map((stored) => [stored.name, stored] as const))('%s', (name, stored) => {
  const want = (stored.logits as number[][]).flat();

  it("has PEFT's logits, saved again and merged too", async () => {
    const notices: string[] = [];
    const model = base(stored);
    const alone = stored.resize ? undefined : await logits(model, stored);
    loadAdapter(model, folderOf(name), { onNotice: (line) => notices.push(line) });
    expect(difference(await logits(model, stored), want)).toBeLessThan(2e-6);
    if (alone) expect(difference(alone, want)).toBeGreaterThan(1e-3);
    const again = base(stored);
    const folder = saveAdapter(model, path.join(temporaryFolder(), 'adapter'));
    loadAdapter(again, folder, { onNotice: (line) => notices.push(line) });
    expect(difference(await logits(again, stored), want)).toBeLessThan(2e-6);
    mergeAndUnload(again);
    const merged = path.join(temporaryFolder(), 'merged');
    saveModel(again, merged);
    expect(difference(await logits(loadModel(merged).model, stored), want)).toBeLessThan(1e-5);
    expect(notices.map((line) => line.replace(/^.*?\.(json|safetensors): /, ''))).toEqual(NOTICES[name] ?? []);
  });
});

const NOTICES: Readonly<Record<string, unknown[]>> = {
  'init-lora-ga': [expect.stringContaining('LoRA-GA took its initial values out of the base weights')],
  monteclora: [expect.stringContaining('monteclora_config: MonteCLoRA draws noise in training')],
};

it.each([
  ['velora', 'velora_config: VeLoRA compresses what training keeps'],
  ['init-mica', 'init_lora_weights: MiCA keeps B as it was made'],
])('%s is told of when it is to be trained on', (name, text) => {
  const notices: string[] = [];
  const model = base(cases.find((stored) => stored.name === name) as StoredAdapter);
  loadAdapter(model, folderOf(name), { trainable: true, onNotice: (line) => notices.push(line) });
  expect(notices).toEqual([expect.stringContaining(text)]);
});

it.each(cases.filter(({ refused }) => refused).map((stored) => [stored.name, stored] as const))(
  '%s is refused by name',
  (name, stored) => {
    const model = base(stored);
    const before = String(model);
    const message = errorMessage('INVALID_CONFIG', () => loadAdapter(model, folderOf(name)));
    expect(message).toContain(path.join(folderOf(name), 'adapter_config.json'));
    expect(message).toContain(`field "${stored.refused}" is`);
    expect(String(model)).toBe(before);
  },
);

it.each<[string, object]>([
  ['peft-0.3', { task: 'sequence-classification', taskType: 'SEQ_CLS', hasHead: true, numLabels: 3 }],
  ['peft-0.6-tokencls', { task: 'token-classification', taskType: 'TOKEN_CLS', hasHead: true, numLabels: 5 }],
  ['head-without-fields', { task: 'sequence-classification', taskType: undefined, hasHead: true, numLabels: 3 }],
  ['features-bert', { task: undefined, taskType: 'FEATURE_EXTRACTION', hasHead: false, numLabels: undefined }],
  ['resized-embedding', { vocabSize: 103, baseModel: '../../oracle/models/roberta-seqcls' }],
  ['all-linear-no-task', { baseClass: 'RobertaForSequenceClassification', hasHead: false, numLabels: 3 }],
])('adapterFacts of %s', (name, facts) => {
  expect(adapterFacts(folderOf(name))).toMatchObject(facts);
});
