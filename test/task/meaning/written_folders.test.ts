/**
 * What a run writes beside weights: the tokenizer with the length and side that hold now, so that
 * transformers cuts as we do; and where nothing is written. Values are opens_again.test.ts.
 */
import * as fs from 'node:fs';
import * as path from 'node:path';
import { fineTune, loadTokenizer, pretrain } from '../../../src';
import { sameTokenizer, writeTokenizer } from '../../../src/task/meaning/record';
import { temporaryFolder } from '../../io/temporary';
import { reviews, TINY } from '../tasks';

jest.setTimeout(60_000);

const dir = temporaryFolder();
const OWN = { maxLength: 128, truncationSide: 'right' } as const;
const tokenizer = loadTokenizer(TINY);

/** The tokenizer of a model of 128 positions, written with a length and a side. */
function written(chosen: Partial<{ maxLength: number; truncationSide: 'left' | 'right' }>): string {
  const folder = fs.mkdtempSync(path.join(dir, 'tokenizer-'));
  writeTokenizer(folder, { ...OWN, ...chosen, tokenizer, tokenizerDir: TINY, model: { maxLength: 128 } });
  return folder;
}

const FILE = 'tokenizer_config.json';
const bytes = (folder: string) => fs.readFileSync(path.join(folder, FILE));

describe('a tokenizer', () => {
  it('is copied as it is where length and side are its own', () => {
    expect(bytes(written({})).equals(bytes(TINY))).toBe(true);
  });

  it('has length and side where they are others', () => {
    const folder = written({ maxLength: 12, truncationSide: 'left' });
    const { modelMaxLength, truncationSide } = loadTokenizer(folder);
    expect({ modelMaxLength, truncationSide }).toEqual({ modelMaxLength: 12, truncationSide: 'left' });
    const own = JSON.parse(bytes(TINY).toString()) as object;
    expect(JSON.parse(bytes(folder).toString())).toEqual({ ...own, model_max_length: 12, truncation_side: 'left' });
    expect(sameTokenizer(folder, TINY)).toBe(true);
  });

  it('gets the length that the model has, where its own is more', () => {
    const folder = fs.mkdtempSync(path.join(dir, 'tokenizer-'));
    const short = { ...OWN, maxLength: 64, tokenizer, tokenizerDir: TINY, model: { maxLength: 64 } };
    writeTokenizer(folder, short);
    expect(loadTokenizer(folder).modelMaxLength).toBe(64);
  });
});

it.each(['lora', 'full'] as const)('%s saves what it was trained with', async (method) => {
  const { textModel, output } = await fineTune({
    model: TINY,
    train: reviews(8, 1),
    outputDir: path.join(dir, method),
    method,
    maxSteps: 1,
    maxLength: 9,
    truncationSide: 'left',
    device: 'cpu',
  });
  const { modelMaxLength, truncationSide } = loadTokenizer(output.folder);
  expect({ modelMaxLength, truncationSide }).toEqual({ modelMaxLength: 9, truncationSide: 'left' });
  textModel.model.dispose();
});

describe('nothing is written', () => {
  const base = path.join(dir, 'base');
  beforeAll(() => fs.cpSync(TINY, base, { recursive: true }));
  const list = (folder: string) => fs.readdirSync(folder).sort();

  it.each(['lora', 'head', 'full'] as const)('over the base model: %s', async (method) => {
    const files = list(base);
    const run = fineTune({ model: base, train: reviews(4, 1), outputDir: path.join(base, '.'), method });
    await expect(run).rejects.toThrow(`is the folder of the base model ${base}`);
    expect(list(base)).toEqual(files);
  });

  it('over the model that is pretrained on', async () => {
    const files = list(base);
    await expect(pretrain({ model: base, text: ['x.txt'], outputDir: base })).rejects.toThrow(base);
    expect(list(base)).toEqual(files);
  });

  it('beside a result of the other kind, overwrite or not', async () => {
    const train = reviews(4, 1);
    for (const [outputDir, method] of [
      [path.join(dir, 'lora'), 'full'],
      [path.join(dir, 'full'), 'lora'],
    ] as const) {
      const files = list(outputDir);
      const run = fineTune({ model: TINY, train, outputDir, method, overwrite: true });
      await expect(run).rejects.toThrow(/holds (an adapter|a whole model)/);
      expect(list(outputDir)).toEqual(files);
    }
  });
});
