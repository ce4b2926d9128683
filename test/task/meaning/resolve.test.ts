/** Who decides what a model means, and what happens when two disagree: facts in, decisions out. */

import { decideTask, taskOfData } from '../../../src/task/meaning/decide_task';
import { describeMeaning, linesOf } from '../../../src/task/meaning/describe';
import { factsOfConfig } from '../../../src/task/meaning/facts';
import { resolveMeaning } from '../../../src/task/meaning/resolve';
import type {
  AdapterFacts,
  BaseFacts,
  LabelFacts,
  MeaningOptions,
  Purpose,
  TokenizerFacts,
} from '../../../src/task/meaning/types';

const SEQUENCE = 'RobertaForSequenceClassification';

/** A base of 512 positions whose config.json names an architecture. */
function base(architecture: string | undefined, others: Partial<BaseFacts> & { rows?: number } = {}): BaseFacts {
  const { rows, ...given } = others;
  return {
    configFile: 'base/config.json',
    recordFile: 'base/fused_lora.json',
    weightsFile: 'base/model.safetensors',
    family: 'roberta',
    architecture,
    problemType: undefined,
    labelNames: [],
    numLabels: undefined,
    positions: 512,
    record: undefined,
    head: new Map(rows === undefined ? [] : [['classifier.out_proj.weight', [rows, 8]]]),
    ...given,
  };
}

function adapter(others: Partial<AdapterFacts> = {}): AdapterFacts {
  return {
    configFile: 'out/adapter_config.json',
    recordFile: 'out/fused_lora.json',
    weightsFile: 'out/adapter_model.safetensors',
    task: 'sequence-classification',
    taskType: 'SEQ_CLS',
    head: new Map(),
    numLabels: 2,
    record: undefined,
    ...others,
  };
}

/** Labels of data, a row each. */
function labels(...names: string[]): LabelFacts {
  return {
    names: [...new Set(names)].sort(),
    uses: new Map(names.map((name, i) => [name, { place: `d.tsv:${i + 2}`, count: 1 }])),
    devUses: undefined,
    classNames: undefined,
    multiHot: false,
    width: undefined,
    pairs: undefined,
  };
}

interface Facts {
  base: BaseFacts;
  adapter?: AdapterFacts;
  tokenizer?: Partial<TokenizerFacts>;
  data?: LabelFacts;
  options?: MeaningOptions;
  purpose?: Purpose;
}

function resolve(facts: Facts) {
  const { purpose = 'use', options = {}, tokenizer } = facts;
  const value = { folder: 'base', maxLength: undefined, truncationSide: undefined, ...tokenizer };
  const ofTokenizer = { value, source: 'base record', place: 'of the base', overridden: [] } as const;
  return resolveMeaning(facts.base, facts.adapter, ofTokenizer, facts.data, options, purpose);
}

describe('the task', () => {
  const regressor = base(SEQUENCE, { rows: 1 });
  it.each<[string, Facts, string, string]>([
    ['an option', { base: base(SEQUENCE), options: { task: 'regression' } }, 'regression', '--task'],
    [
      "an adapter's record",
      { base: base(SEQUENCE), adapter: adapter({ record: { task: 'multi-label-classification' } }) },
      'multi-label-classification',
      'out/fused_lora.json',
    ],
    [
      "PEFT's task_type before a language model",
      { base: base('RobertaForMaskedLM'), adapter: adapter() },
      'sequence-classification',
      'out/adapter_config.json: SEQ_CLS',
    ],
    [
      'one row of the head in its file',
      { base: base(undefined), adapter: adapter({ numLabels: 1 }) },
      'regression',
      'out/adapter_config.json: SEQ_CLS',
    ],
    [
      'problem_type beside task_type',
      { base: base(SEQUENCE, { problemType: 'multi_label_classification' }), adapter: adapter() },
      'multi-label-classification',
      'out/adapter_config.json: SEQ_CLS',
    ],
    [
      "the base's record",
      { base: base(SEQUENCE, { record: { task: 'regression' }, rows: 2 }) },
      'regression',
      'base/fused_lora.json',
    ],
    ['one output', { base: regressor }, 'regression', 'base/config.json'],
    [
      'problem_type before one output',
      { base: base(SEQUENCE, { rows: 1, problemType: 'multi_label_classification' }) },
      'multi-label-classification',
      'base/config.json',
    ],
    ['architectures', { base: base('BertForTokenClassification') }, 'token-classification', 'base/config.json'],
    ['a language model alone', { base: base('RobertaForMaskedLM') }, 'masked-lm', 'base/config.json'],
    [
      'nobody, in training',
      { base: base('RobertaForMaskedLM'), purpose: 'train' },
      'sequence-classification',
      'the default',
    ],
  ])('is of %s', (_, facts, task, place) => {
    const decided = resolve(facts).task;
    expect([decided.value, decided.place]).toEqual([task, place]);
  });

  it('is told where a weaker source says otherwise, and asked for where nobody says', () => {
    const meaning = resolve({ base: base('BertForTokenClassification'), options: { task: 'regression' } });
    expect(linesOf(meaning)).toEqual(['task: regression (--task), not token-classification (base/config.json)']);
    expect(() => resolve({ base: base('RobertaModel', { rows: 2 }) })).toThrow(
      /architecture "RobertaModel" tells no task\. Pass the option task \(--task\): one of .*, token-classification\.$/,
    );
    expect(() => resolve({ base: base('RobertaModel') })).toThrow(
      /tells no task, and it has no trained head\. Give an adapter with a head \(--adapter DIR/,
    );
    const features = adapter({ task: undefined, taskType: 'FEATURE_EXTRACTION', numLabels: undefined });
    expect(() => resolve({ base: base('RobertaModel'), adapter: features })).toThrow(
      /no trained head, nor has out\/adapter_model\.safetensors\. Give/,
    );
  });

  it.each<[string, BaseFacts, MeaningOptions, string, string]>([
    ['one output is regression', base('RobertaForMaskedLM'), {}, 'regression', '--num-labels 1'],
    ['in place of a head of two', base(SEQUENCE, { rows: 2 }), {}, 'regression', '--num-labels 1'],
    [
      'no problem_type is overridden',
      base(SEQUENCE, { problemType: 'single_label_classification' }),
      {},
      'sequence-classification',
      'base/config.json',
    ],
    [
      'no name is left out',
      base('RobertaForMaskedLM'),
      { labelNames: ['a'] },
      'sequence-classification',
      'the default',
    ],
    [
      'no task that was given is overridden',
      base(undefined),
      { task: 'multi-label-classification' },
      'multi-label-classification',
      '--task',
    ],
    ['words have no numbers', base('BertForTokenClassification'), {}, 'token-classification', 'base/config.json'],
  ])('of --num-labels 1: %s', (_, facts, options, value, place) => {
    expect(decideTask(facts, undefined, { numLabels: 1, ...options }, 'train')).toMatchObject({ value, place });
  });

  it('is that of the data where files are silent', () => {
    const of = (label: unknown) =>
      taskOfData([
        { text: 'a', label },
        { text: 'b', label },
      ] as never)?.value;
    expect([of('0.5'), of(1.5), of('1.0'), of('1e3'), of('1'), of(2), of('a'), of(['a'])]).toEqual([
      'regression',
      'regression',
      'regression',
      'regression',
      undefined,
      undefined,
      undefined,
      'multi-label-classification',
    ]);
    expect(taskOfData([{ tokens: ['a'] }])?.value).toBe('token-classification');
    const silent = decideTask(base(undefined), undefined, {}, 'train', taskOfData([{ text: 'a', label: 0.5 }]));
    expect(silent).toMatchObject({ value: 'regression', place: 'the data: numbers with a fraction' });
    const spoken = decideTask(base(SEQUENCE), undefined, {}, 'train', taskOfData([{ text: 'a', label: 0.5 }]));
    expect(spoken).toMatchObject({ value: 'sequence-classification', overridden: [{ value: 'regression' }] });
  });
});

describe('labels', () => {
  const named = base(SEQUENCE, { rows: 2, labelNames: ['POSITIVE', 'NEGATIVE'], numLabels: 2 });
  const nameless = base(SEQUENCE, { rows: 2 });
  const untrained = base('RobertaForMaskedLM', { labelNames: ['x', 'y', 'z'], numLabels: 3 });
  const train = (one: BaseFacts, data: LabelFacts, options: MeaningOptions = {}) =>
    resolve({ base: one, data, options, purpose: 'train' });

  it.each<[string, Facts, string[]]>([
    ['an option', { base: named, options: { labelNames: ['good', 'bad'] } }, ['good', 'bad']],
    [
      "the adapter's record",
      { base: named, adapter: adapter({ numLabels: 3, record: { labelNames: ['a', 'b', 'c'] } }) },
      ['a', 'b', 'c'],
    ],
    [
      'numbers for the rows of its head',
      { base: named, adapter: adapter({ numLabels: 3 }) },
      ['LABEL_0', 'LABEL_1', 'LABEL_2'],
    ],
    ['id2label that fits it', { base: named, adapter: adapter() }, ['POSITIVE', 'NEGATIVE']],
    [
      "rows of the base's head before a count of config.json",
      { base: base(SEQUENCE, { rows: 3 }) },
      ['LABEL_0', 'LABEL_1', 'LABEL_2'],
    ],
    [
      '--num-labels',
      { base: base('RobertaForMaskedLM'), options: { task: 'sequence-classification', numLabels: 4 } },
      ['LABEL_0', 'LABEL_1', 'LABEL_2', 'LABEL_3'],
    ],
  ])('are those of %s', (_, facts, names) => {
    expect(resolve(facts).labelNames.value).toEqual(names);
  });

  it("of training: a trained head's, where the data have them or are ids; of an untrained one the data's", () => {
    expect(train(named, labels('NEGATIVE', 'POSITIVE')).labelNames.value).toEqual(['POSITIVE', 'NEGATIVE']);
    const ids = train(named, labels('0', '1'));
    expect(ids.labelNames.value).toEqual(['POSITIVE', 'NEGATIVE']);
    expect(ids.notes).toEqual(['labels 0, 1 of the data are ids of POSITIVE, NEGATIVE (base/config.json: id2label)']);
    expect(train(nameless, labels('0', '1')).labelNames.value).toEqual(['0', '1']);
    expect(train(untrained, labels('a', 'b')).labelNames).toMatchObject({
      value: ['a', 'b'],
      overridden: [{ value: ['x', 'y', 'z'], place: 'base/config.json: id2label' }],
    });
    const absent = train(untrained, labels('x', 'z'));
    expect(absent.labelNames.value).toEqual(['x', 'y', 'z']);
    expect(absent.notes).toEqual(['no row of the training data has the label y']);
  });

  it('outputs without names get those of the data when a head is trained further, and that is told', () => {
    const { labelNames, notes } = train(nameless, labels('neg', 'pos'));
    expect(labelNames).toMatchObject({ value: ['neg', 'pos'], source: 'data' });
    expect(notes).toEqual([
      expect.stringMatching(
        /trained head in base\/model\.safetensors have no names: they become 0 neg, 1 pos, .*--labels/,
      ),
    ]);
  });

  it.each([
    [['a', 'b', 'b|a'], 'sequence-classification', /^the label "b\|a" is made of other labels/],
    [['no', 'NaN', 'yes'], 'sequence-classification', /^the label "NaN" \(d\.tsv:3\) is taken for a class/],
    [['B-PER', 'O', 'PER'], 'token-classification', /^labels such as B-PER mark entities, but "PER" is no such tag/],
    [['b-per', 'o'], 'token-classification', /^labels such as b-per mark entities, but "b-per" is no such tag/],
  ] as const)('of the data that may be meant otherwise are told: %j', (names, task, note) => {
    const { notes } = resolve({ base: base('BertModel'), data: labels(...names), options: { task }, purpose: 'train' });
    expect(notes).toEqual([expect.stringMatching(note)]);
  });

  it.each<[string, () => unknown, RegExp]>([
    [
      'another spelling',
      () => train(named, labels('positive', 'negative')),
      /d\.tsv:2: the label "positive" is none of POSITIVE, NEGATIVE.*"POSITIVE" differs from it in upper and lower case alone\. .*--labels.*--ignore-mismatched-sizes/,
    ],
    ['another name', () => train(named, labels('POSITIVE', 'neutral')), /d\.tsv:3: the label "neutral" is none of/],
    [
      'more labels than outputs',
      () => train(nameless, labels('a', 'b', 'c')),
      /have 3 labels.*has 2 outputs.*--ignore-mismatched-sizes/,
    ],
    [
      'names that are too many',
      () => train(nameless, labels('a', 'b'), { labelNames: ['a', 'b', 'c'] }),
      /--labels asks for 3 outputs.*has 2/,
    ],
    [
      'a count that is not the head’s',
      () => resolve({ base: named, adapter: adapter(), options: { numLabels: 3 } }),
      /--num-labels asks for 3.*adapter_model\.safetensors has 2/,
    ],
    [
      'a count that is not that of the names',
      () => resolve({ base: named, options: { numLabels: 3, labelNames: ['a', 'b'] } }),
      /numLabels is 3, but labelNames has 2/,
    ],
  ])('refuse %s', (_, decide, message) => {
    expect(decide).toThrow(message);
  });

  it('of the data start a head anew where the user lets it go', () => {
    const options = { ignoreMismatchedSizes: true };
    expect(train(named, labels('a', 'b', 'c'), options).labelNames.value).toEqual(['a', 'b', 'c']);
    const renamed = train(named, labels('positive', 'negative'), options);
    expect(linesOf(renamed)[0]).toBe(
      'labels: negative, positive (the data), not POSITIVE, NEGATIVE (base/config.json: id2label)',
    );
  });

  it('of a head for words are none of a head for texts', () => {
    const words = base('BertForTokenClassification', {
      family: 'bert',
      labelNames: ['B', 'I', 'O'],
      numLabels: 3,
      head: new Map([['classifier.weight', [3, 8]]]),
    });
    const meaning = train(words, labels('a', 'b'), { task: 'sequence-classification' });
    expect(meaning).toMatchObject({ leavesHeadOut: true, numLabels: { value: 2 } });
  });

  it('of regression are as many as the head or the data have', () => {
    const numbers = { ...labels(), names: undefined, width: 3 };
    const options = { task: 'regression' } as const;
    expect(resolve({ base: base(undefined), data: numbers, options, purpose: 'train' }).numLabels.value).toBe(3);
    expect(resolve({ base: base(SEQUENCE, { rows: 1 }) }).numLabels.value).toBe(1);
    expect(() => resolve({ base: base(SEQUENCE, { rows: 1 }), data: numbers, purpose: 'train' })).toThrow(
      /3 numbers a row, and the head in base\/model\.safetensors has 1 outputs/,
    );
  });
});

describe('length, side, threshold, pairs', () => {
  const one = base(SEQUENCE, { rows: 2, record: { maxLength: 64, truncationSide: 'left' } });
  it.each<[string, Facts, number, string]>([
    ['an option', { base: one, options: { maxLength: 32 } }, 32, '--max-length'],
    ["the adapter's record", { base: one, adapter: adapter({ record: { maxLength: 48 } }) }, 48, 'out/fused_lora.json'],
    ["the base's record", { base: one }, 64, 'base/fused_lora.json'],
    ['the tokenizer', { base: base(SEQUENCE), tokenizer: { maxLength: 256 } }, 256, 'base: model_max_length'],
    [
      'the positions before a larger one',
      { base: base(SEQUENCE), tokenizer: { maxLength: 514 } },
      512,
      'positions of base/config.json',
    ],
  ])('the length is of %s', (_, facts, length, place) => {
    const { maxLength } = resolve(facts);
    expect([maxLength.value, maxLength.place]).toEqual([length, place]);
  });

  it('a length above the positions is an error that says who asked for it', () => {
    expect(() => resolve({ base: one, options: { maxLength: 513 } })).toThrow(/maxLength is 513; .* from 3 to 512/);
    const record = { maxLength: 600 };
    expect(() => resolve({ base: base(SEQUENCE, { record }) })).toThrow(/maxLength is 600 \(base\/fused_lora\.json\)/);
  });

  it('an option for the side and the threshold overrides a record and says so', () => {
    const record = { truncationSide: 'left', threshold: 0.3, pairs: true } as const;
    const options = { truncationSide: 'right', threshold: 0.6 } as const;
    const meaning = resolve({ base: one, adapter: adapter({ record }), options });
    expect(meaning).toMatchObject({
      truncationSide: { value: 'right' },
      threshold: { value: 0.6 },
      pairs: { value: true },
    });
    expect(linesOf(meaning)).toEqual([
      'texts are cut on the: right (--truncation-side), not left (out/fused_lora.json), not left (base/fused_lora.json)',
      'threshold: 0.6 (--threshold), not 0.3 (out/fused_lora.json)',
    ]);
  });
});

describe('names in config.json', () => {
  const json = { model_type: 'bert', vocab_size: 9, hidden_size: 8, num_hidden_layers: 1, num_attention_heads: 2 };
  const whole = { ...json, intermediate_size: 8, max_position_embeddings: 64, type_vocab_size: 2 };
  const head = new Map([['classifier.weight', { shape: [2, 8] }]]);
  const architectures = ['BertForSequenceClassification'];
  const facts = (fields: object): BaseFacts => ({
    ...factsOfConfig({ ...whole, architectures, ...fields }, 'base/config.json', undefined, head),
    record: undefined,
  });
  const decided = (fields: object) => {
    const { labelNames, numLabels, notes } = resolve({ base: facts(fields) });
    return { names: labelNames.value, place: labelNames.place, notes, outputs: numLabels };
  };

  it('are those of label2id where id2label has none', () => {
    for (const id2label of [undefined, { 0: 'LABEL_0', 1: 'LABEL_1' }]) {
      const { names, place, notes } = decided({ id2label, label2id: { zeta: 0, alpha: 1 } });
      expect({ names, place, notes }).toEqual({
        names: ['zeta', 'alpha'],
        place: 'base/config.json: label2id',
        notes: [],
      });
    }
  });

  it('are those of id2label where the two disagree, which is told', () => {
    const { names, notes } = decided({ id2label: { 0: 'neg', 1: 'pos' }, label2id: { neg: 1, pos: 0 } });
    expect(names).toEqual(['neg', 'pos']);
    expect(notes).toEqual([expect.stringMatching(/label2id says .*, id2label neg 0, pos 1; id2label counts/)]);
  });

  it('that do not fit the head are not taken, which is told', () => {
    const id2label = { 0: 'a', 1: 'b', 2: 'c' };
    const { names, notes } = decided({ id2label, label2id: { a: 0, b: 1, c: 2 } });
    expect(names).toEqual(['LABEL_0', 'LABEL_1']);
    expect(notes).toEqual([
      'base/config.json: id2label names 3 labels (a, b, c), and the model has 2: its names are not taken',
    ]);
    expect(decided({ num_labels: 3 }).outputs.overridden).toMatchObject([{ value: 3, place: 'base/config.json' }]);
  });

  it('of ids with gaps name no outputs: an error, unless the user or a record names them', () => {
    const gaps = { id2label: { 0: 'neg', 2: 'pos' }, label2id: { neg: 0, pos: 2 } };
    const problem = 'base/config.json: field "id2label" has the ids 0, 2; expected 0 to 1 without gaps';
    expect(() => decided(gaps)).toThrow(`${problem}. Correct the file, or give all names`);
    const chosen = resolve({ base: facts(gaps), options: { labelNames: ['no', 'yes'] } });
    expect(chosen.labelNames).toMatchObject({ value: ['no', 'yes'], source: 'option' });
    // A new head has the names of the data, and it is told that the file's were not taken.
    const anew = { ...facts(gaps), head: new Map() };
    const { labelNames, notes } = resolve({ base: anew, data: labels('a', 'b'), purpose: 'train' });
    expect(labelNames.value).toEqual(['a', 'b']);
    expect(notes).toContain(`${problem}: its names are not taken`);
  });

  it('that are blank name no outputs', () => {
    expect(() => decided({ id2label: { 0: 'a', 1: ' ' } })).toThrow('field "id2label" has no name for the id 1');
  });

  it('count, whatever num_labels says, which is told', () => {
    const { outputs, notes } = decided({ id2label: { 0: 'a', 1: 'b' }, num_labels: 5 });
    expect(outputs.value).toBe(2);
    expect(notes).toEqual(['base/config.json: num_labels is 5, and id2label names 2 labels; id2label counts']);
  });

  it('twice the same is an error that names the file', () => {
    expect(() => decided({ id2label: { 0: 'a', 1: 'a' } })).toThrow(
      /^base\/config\.json: id2label: has the name "a" twice/,
    );
  });
});

it('the block tells labels with counts, how many texts are cut, and what is new', () => {
  const meaning = resolve({ base: base('RobertaForMaskedLM'), data: labels('a', 'b'), purpose: 'train' });
  const found = {
    labels: labels('a', 'b'),
    newWeights: [{ path: 'classifier', reason: 'missing' } as const],
    train: { texts: 2, cut: 1 },
  };
  expect(describeMeaning(meaning, found)).toEqual([
    'task: sequence-classification (the default)',
    'labels: a 1, b 1 (rows of train) (the data)',
    'length: at most 512 tokens (positions of base/config.json), 1 of 2 texts are longer and cut',
    'new: classifier (not in the checkpoint); saved with the result',
  ]);
});
