/**
 * Embeddings against sentence-transformers, from stored folders in its old and new forms; and what
 * is refused. Pooling by itself needs no other test: each mode is a case.
 */
import * as fs from 'node:fs';
import * as path from 'node:path';
import { writeSafetensors } from '../../src/io/safetensors';
import { Embedder, type EmbedOptions, embed } from '../../src/task/embed/embedder';
import { openEmbeddingModel } from '../../src/task/embed/open_embedding_model';
import { failure, temporaryFolder } from '../io/temporary';

const FIXTURES = path.join(__dirname, '..', 'fixtures', 'embed');

interface Case {
  name: string;
  base: string;
  files: Record<string, Record<string, unknown>>;
  options: { prompt_name?: string; normalize_embeddings?: true; truncate_dim?: number };
  dense: Record<string, number[]> | null;
  adapter?: string;
  expected: number[][];
}

const { texts, cases } = JSON.parse(fs.readFileSync(path.join(FIXTURES, 'cases.json'), 'utf8')) as {
  texts: string[];
  cases: Case[];
};

/** The folder of a case, changed by `edit`. */
function assemble({ base, files, dense }: Case, edit: Record<string, unknown> = {}): string {
  const folder = temporaryFolder();
  const old = Object.keys(files).some((name) => name.startsWith('0_Transformer'));
  fs.cpSync(path.join(FIXTURES, base), old ? path.join(folder, '0_Transformer') : folder, { recursive: true });
  for (const [name, content] of Object.entries({ ...files, ...edit })) {
    fs.mkdirSync(path.dirname(path.join(folder, name)), { recursive: true });
    fs.writeFileSync(path.join(folder, name), JSON.stringify(content));
  }
  if (dense) {
    const config = files['2_Dense/config.json'] as { in_features: number; out_features: number };
    const shapes = { 'linear.weight': [config.out_features, config.in_features], 'linear.bias': [config.out_features] };
    writeSafetensors(
      path.join(folder, '2_Dense', 'model.safetensors'),
      Object.entries(shapes).map(([name, shape]) => [
        name,
        { dtype: 'F32', shape, data: Float32Array.from(dense[name] as number[]) },
      ]),
    );
  }
  return folder;
}

const optionsOf = ({ options }: Case): EmbedOptions => ({
  promptName: options.prompt_name,
  normalize: options.normalize_embeddings,
  dimensions: options.truncate_dim,
});

test.each(cases.map((one) => [one.name, one] as const))('%s: as sentence-transformers', async (_, one) => {
  const adapter = one.adapter === undefined ? undefined : path.join(FIXTURES, one.adapter);
  const opened = await openEmbeddingModel(assemble(one), { adapter });
  const embeddings = await embed(opened, texts, { ...optionsOf(one), precision: 'fp32', device: 'cpu' });
  expect(embeddings.map(({ length }) => length)).toEqual(one.expected.map(({ length }) => length));
  embeddings.forEach((embedding, i) => {
    const differences = one.expected[i]!.map((value, k) => Math.abs(value - embedding[k]!));
    expect(Math.max(...differences)).toBeLessThan(1e-5);
  });
  opened.model.dispose();
});

const named = (name: string) => cases.find((one) => one.name === name) as Case;

test('a text has the same bits in whatever company it comes; what is cut is counted', async () => {
  const opened = await openEmbeddingModel(assemble(named('mean')));
  using embedder = new Embedder(opened);
  const together = await embedder.embed(texts);
  expect(embedder.numberCut).toBe(1);
  for (const [i, text] of texts.entries()) expect((await embedder.embed([text]))[0]).toEqual(together[i]);
  expect(await embedder.embed([])).toEqual([]);
});

test('an adapter brings its base; any encoder has the mean of its tokens, or the pooling that is asked for', async () => {
  const folder = temporaryFolder();
  for (const name of ['bert', 'adapter'])
    fs.cpSync(path.join(FIXTURES, name), path.join(folder, name), { recursive: true });
  const opened = await openEmbeddingModel(path.join(folder, 'adapter'));
  const [first] = await embed(opened, texts, { precision: 'fp32' });
  named('an adapter').expected[0]!.forEach((value, k) => {
    expect(first![k]).toBeCloseTo(value, 4);
  });
  const cls = await openEmbeddingModel(path.join(FIXTURES, 'bert'), { pooling: 'cls', maxLength: 6 });
  expect([cls.maxLength, cls.settings.pooling]).toEqual([6, ['cls']]);
});

test.each([
  [
    'modules.json',
    [
      { type: 'a.Transformer', path: '' },
      { type: 'a.LSTM', path: '1_LSTM' },
    ],
    'expected Pooling',
  ],
  [
    'modules.json',
    [
      { type: 'a.Transformer', path: '../other' },
      { type: 'a.Pooling', path: '1' },
    ],
    'inside of this',
  ],
  ['modules.json', { type: 1 }, 'a list of modules'],
  ['1_Pooling/config.json', { pooling_mode: 'median' }, 'median'],
  ['1_Pooling/config.json', { pooling_mode: 'mean', include_prompt: 1 }, 'include_prompt'],
  ['sentence_bert_config.json', { max_seq_length: 'long' }, 'max_seq_length'],
  ['config_sentence_transformers.json', { prompts: { a: 1 } }, 'prompts'],
  ['config_sentence_transformers.json', { prompts: {}, default_prompt_name: 'query' }, 'default_prompt_name'],
  ['2_Dense/config.json', { in_features: 3, out_features: 2, activation_function: 'torch.nn.SiLU' }, 'SiLU'],
  ['2_Dense/config.json', { in_features: 3, out_features: 2 }, 'linear.weight is [7, 12]; expected [2, 3]'],
])('%s with %j is refused by name', async (file, content, told) => {
  const one = named('dense');
  expect(await failure('INVALID_CONFIG', openEmbeddingModel(assemble(one, { [file]: content })))).toContain(told);
});

test('what is asked wrongly is told', async () => {
  const opened = await openEmbeddingModel(assemble(named('a prompt by name')));
  using embedder = new Embedder(opened);
  const fails = (texts: unknown, options: EmbedOptions = {}) =>
    failure('INVALID_ARGUMENT', embedder.embed(texts as string[], options));
  expect(await fails('a text')).toContain("embed(model, ['a text'])");
  expect(await fails(['a', 3])).toContain('texts[1] is 3');
  expect(await fails(['a'], { promptName: 'passage' })).toContain('it has: query, document');
  expect(await fails(['a'], { dimensions: 13 })).toContain('from 1 to 12');
});
