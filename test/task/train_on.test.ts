/**
 * Training that goes on from an adapter: what it takes from the files, what may not contradict
 * them, and that such runs are told apart.
 */
import * as fs from 'node:fs';
import * as path from 'node:path';
import type { JsonObject } from '../../src/io/json';
import { SafetensorsFile, tensorSource, writeSafetensors } from '../../src/io/safetensors';
import { type LoraConfig, loadAdapter, saveAdapter } from '../../src/lora';
import { adapterEntry } from '../../src/lora/registry';
import { loadModel } from '../../src/models';
import { type FineTuneOptions, fineTune } from '../../src/task/fine_tune';
import { planTraining } from '../../src/task/plan_training';
import { checkAgainst } from '../../src/task/start/adapter_folder';
import { openTextModel } from '../../src/task/text_model';
import { errorMessage, failure, sharedData, temporaryFolder } from '../io/temporary';
import { robertaBase, trainedNames } from '../lora/models';
import { reviews, TINY } from './tasks';

jest.setTimeout(120_000);

const dir = temporaryFolder();
const FIRST = path.join(dir, 'first');
const LORA = { r: 4, loraAlpha: 12, targetModules: ['query', 'output.dense'], loraDropout: 0.1 };
/** A rate above 0, as it must be, which is 0 for the kernels. */
const STILL = Number.MIN_VALUE;
const train = reviews(48, 1);
const dev = reviews(24, 2);

const common = (name: string, more: Partial<FineTuneOptions> = {}): FineTuneOptions => ({
  train,
  outputDir: path.join(dir, name),
  epochs: 1,
  batchSize: 16,
  device: 'cpu',
  ...more,
});
const run = async (options: FineTuneOptions) => {
  const { textModel, ...result } = await fineTune(options);
  textModel.model.dispose();
  return result;
};
const on = (name: string, more: Partial<FineTuneOptions> = {}) => run(common(name, { adapter: FIRST, ...more }));
const weights = (folder: string) => fs.readFileSync(path.join(folder, 'adapter_model.safetensors'));
const jsonOf = (folder: string) =>
  JSON.parse(fs.readFileSync(path.join(folder, 'adapter_config.json'), 'utf8')) as JsonObject;

beforeAll(async () => {
  await run(common('first', { model: TINY, lora: LORA, learningRate: 3e-3, labelNames: ['positive', 'negative'] }));
});

describe('an adapter of ours', () => {
  it('goes on with its bits, at a rate that is 0 in float32', async () => {
    const result = await on('still', { learningRate: STILL, dev });
    expect(weights(path.join(dir, 'still')).equals(weights(FIRST))).toBe(true);
    expect(jsonOf(path.join(dir, 'still'))).toEqual(jsonOf(FIRST));
    expect(result.labelNames).toEqual(['positive', 'negative']);
    expect(result.training.steps).toBe(3);
  });

  it('learns on, its head too, with the rank, modules and labels that it has', async () => {
    const result = await on('more', { learningRate: 3e-3, epochs: 2, dev });
    const before = await openTextModel(FIRST);
    const after = await openTextModel(path.join(dir, 'more'));
    const values = (model: typeof before) =>
      new Map(model.model.namedParameters().map(([name, p]) => [name, p.data()]));
    const [old, now] = [values(before), values(after)];
    const changed = [...old].filter(
      ([name, data]) => !Buffer.from(data.buffer).equals(Buffer.from(now.get(name)!.buffer)),
    );
    expect([...now.keys()]).toEqual([...old.keys()]);
    const own = (name: string) => /\.lora_[AB]\.|^classifier\.modules_to_save\./.test(name);
    expect(changed.map(([name]) => name).sort()).toEqual([...old.keys()].filter(own).sort());
    expect(result.metrics!['accuracy']).toBeGreaterThan(0.8);
    expect(result.meaning).toMatchObject({ labels: [{ name: 'positive' }, { name: 'negative' }], newWeights: [] });
    expect(jsonOf(path.join(dir, 'more'))).toEqual(jsonOf(FIRST));
    for (const { model } of [before, after]) model.dispose();
  });

  it('may be given with its base, as its own model, or in a plan', async () => {
    await on('with-base', { model: TINY, learningRate: STILL, maxSteps: 1 });
    await on('as-model', { model: `${FIRST}${path.sep}`, learningRate: STILL, maxSteps: 1 });
    for (const name of ['with-base', 'as-model'])
      expect(weights(path.join(dir, name)).equals(weights(FIRST))).toBe(true);
    const plan = await planTraining({ adapter: FIRST, measureSeconds: 0, batchSizes: [8] });
    expect(plan.tree).toMatch(/default\.weight \[4 × 192\]/);
    expect(plan.parameters.learnable).toBeGreaterThan(0);
  });

  it('refuses fields of lora that say otherwise, naming both, and takes those that say the same', async () => {
    const { model } = loadModel(TINY, { task: 'sequence-classification', numLabels: 2 });
    loadAdapter(model, FIRST);
    const check = (lora: LoraConfig) => checkAgainst(lora, model, adapterEntry(model, 'default'), 'FILE');
    check({ ...LORA, targetModules: '.*(query|output\\.dense)', modulesToSave: ['classifier'], bias: 'none' });
    check({ targetModules: ['key', 'query', 'output.dense'], excludeModules: ['key'], rankPattern: { nothing: 2 } });
    const cases: [LoraConfig, string][] = [
      [{ r: 8 }, 'r is 8, and the adapter that training goes on from has 4'],
      [{ loraAlpha: 16 }, 'loraAlpha is 16, and the adapter that training goes on from has 12'],
      [{ loraDropout: 0 }, 'loraDropout is 0, and'],
      [{ bias: 'all' }, 'bias is "all", and the adapter that training goes on from has none'],
      [{ targetModules: ['query'] }, 'output.dense too'],
      [{ targetModules: 'all-linear' }, 'targetModules is "all-linear", and'],
      [{ rankPattern: { query: 2 } }, 'has rank 4 and alpha 12 on'],
      [{ modulesToSave: ['pooler'] }, 'modulesToSave is ["pooler"], and'],
      [{ initLoraWeights: false }, 'has values of its own'],
    ];
    for (const [lora, text] of cases) {
      const message = errorMessage('INVALID_ARGUMENT', () => check(lora));
      expect(message).toContain(text);
      expect(message).toContain(`(FILE). Leave ${Object.keys(lora)[0]} out`);
    }
    model.dispose();
    expect(await failure('INVALID_ARGUMENT', on('never', { lora: { r: 8 } }))).toContain(
      `has 4 (${path.join(FIRST, 'adapter_config.json')})`,
    );
  });

  it('refuses what is no adapter, other methods, and to be written over', async () => {
    const message = (more: Partial<FineTuneOptions>) => failure('INVALID_ARGUMENT', on('never', more));
    expect(await message({ adapter: TINY })).toContain('has no adapter_config.json');
    expect(await message({ adapter: '' })).toContain('adapter is ""');
    expect(await message({ method: 'full' })).toContain('adapter is given beside the method "full"');
    expect(await message({ outputDir: FIRST })).toContain(`is the folder of the adapter ${FIRST}`);
    expect(await failure('INVALID_ARGUMENT', run(common('never', { model: FIRST })))).toContain(
      'To train on from it, give it as adapter (--init-adapter)',
    );
    expect(await failure('INVALID_ARGUMENT', run(common('never')))).toContain('model is undefined');
    const open = await openTextModel(FIRST);
    expect(await message({ model: open })).toContain('beside a model that is open');
    open.model.dispose();
    const other = path.join(dir, 'other');
    fs.cpSync(FIRST, other, { recursive: true });
    expect(await message({ model: other })).toContain('is another adapter than');
  });

  it('refuses labels that its head does not have', async () => {
    const strange = train.map(({ text }, i) => ({ text, label: ['good', 'bad'][i % 2]! }));
    const message = await failure('INVALID_DATA', on('never', { train: strange }));
    expect(message).toContain('which');
    expect(message).toContain('adapter_model.safetensors');
    expect(message).not.toContain('ignore-mismatched-sizes');
  });
});

describe('resuming', () => {
  const stopped = (name: string, more: Partial<FineTuneOptions> = {}) =>
    on(name, { epochs: 2, learningRate: 3e-3, checkpointEvery: 2, ...more });

  it('ends in the same bytes, and refuses another adapter or none', async () => {
    await stopped('whole');
    const controller = new AbortController();
    const onStep = ({ step }: { step: number }) => {
      if (step === 3) controller.abort();
    };
    await failure('ABORTED', stopped('halves', { signal: controller.signal, callbacks: [{ onStep }] }));
    const still = path.join(dir, 'another');
    fs.cpSync(path.join(dir, 'more'), still, { recursive: true });
    expect(await failure('STATE_MISMATCH', stopped('halves', { adapter: still, resume: true }))).toContain(
      'initial adapter (a checksum)',
    );
    const anew = common('halves', { model: TINY, lora: LORA, epochs: 2, checkpointEvery: 2, resume: true });
    expect(await failure('STATE_MISMATCH', run({ ...anew, learningRate: 3e-3 }))).toMatch(/of another run/);
    await stopped('halves', { resume: true });
    expect(weights(path.join(dir, 'halves')).equals(weights(path.join(dir, 'whole')))).toBe(true);
  });
});

describe('an adapter of PEFT', () => {
  it('without names of labels takes those of the data, which is told', async () => {
    const peft = path.join(dir, 'peft');
    fs.mkdirSync(peft);
    for (const file of ['adapter_config.json', 'adapter_model.safetensors'])
      fs.copyFileSync(path.join(FIRST, file), path.join(peft, file));
    const notices: string[] = [];
    const result = await on('of-peft', {
      adapter: peft,
      learningRate: STILL,
      maxSteps: 1,
      onNotice: (line) => notices.push(line),
    });
    expect(result.labelNames).toEqual(['negative', 'positive']);
    expect(notices.join('\n')).toContain('have no names: they become 0 negative, 1 positive');
    expect(weights(path.join(dir, 'of-peft')).equals(weights(FIRST))).toBe(true);
  });

  it('of a bare encoder gets a new head, which is saved with it', async () => {
    const { model } = loadModel(TINY, { task: 'sequence-classification', numLabels: 2 });
    loadAdapter(model, FIRST);
    const bare = saveAdapter(model, path.join(dir, 'bare'), { baseModel: TINY });
    model.dispose();
    const file = path.join(bare, 'adapter_model.safetensors');
    const kept = [...SafetensorsFile.open(file).tensors].filter(([name]) => name.includes('.lora_'));
    const tensors = kept.map(([name, info]) => {
      const values = tensorSource(info).read();
      return [name.replace('.roberta.', '.'), { dtype: 'F32', shape: info.shape, data: () => values }] as const;
    });
    writeSafetensors(file, tensors as never);
    const config = { ...jsonOf(bare), modules_to_save: null, task_type: 'FEATURE_EXTRACTION' };
    fs.writeFileSync(path.join(bare, 'adapter_config.json'), JSON.stringify(config));
    const notices: string[] = [];
    const more = {
      adapter: bare,
      learningRate: 3e-3,
      epochs: 4,
      dev,
      onNotice: (line: string) => void notices.push(line),
    };
    await on('headed', more);
    expect(notices).toContain('new: classifier (not in the checkpoint); saved with the result');
    expect(jsonOf(path.join(dir, 'headed'))).toMatchObject({
      modules_to_save: ['classifier'],
      task_type: 'SEQ_CLS',
      r: 4,
    });
    const again = await openTextModel(path.join(dir, 'headed'));
    expect(again.report.initialized).toEqual([]);
    again.model.dispose();
  });
});

it('a real adapter of PEFT opens to be trained on, with what it says of itself', () => {
  const folder = sharedData('pretrained', 'lora-ner-roberta-base-r4');
  if (folder === undefined) return;
  const model = robertaBase('token-classification', 29)!;
  loadAdapter(model, folder, { trainable: true });
  expect(trainedNames(model)).toHaveLength(12 * 2 * 2 + 2);
  const check = (lora: LoraConfig) => checkAgainst(lora, model, adapterEntry(model, 'default'), folder);
  check({ r: 4, loraAlpha: 16, targetModules: ['query', 'value'] });
  expect(errorMessage('INVALID_ARGUMENT', () => check({ r: 8 }))).toContain('has 4');
});
