/**
 * Training that can not go right: options, numbers that are none, folders, resuming something else.
 */
import * as fs from 'node:fs';
import * as path from 'node:path';
import { eventLog, type FineTuneOptions, fineTune, pretrain, Trainer } from '../../src';
import { type BadInput, goodModel, SENTENCES, withTensor } from './support';

const RUN: Partial<FineTuneOptions> = {
  train: SENTENCES,
  method: 'head',
  epochs: 1,
  batchSize: 2,
  maxLength: 16,
  device: 'cpu',
};

async function tune(dir: string, options: Partial<FineTuneOptions> = {}): Promise<void> {
  const { textModel } = await fineTune({
    model: path.join(dir, 'model'),
    outputDir: path.join(dir, 'out'),
    ...RUN,
    ...options,
  } as FineTuneOptions);
  textModel.model.dispose();
}

function option(name: string, options: object, ...says: (string | RegExp)[]): BadInput {
  return {
    name,
    code: 'INVALID_ARGUMENT',
    says,
    prepare: (dir) => void goodModel(dir),
    run: (dir) => tune(dir, options as Partial<FineTuneOptions>),
    mayLeave: /^out(\/events\.jsonl)?$/,
  };
}

const LOG = /^out(\/events\.jsonl|\/checkpoint-\d+.*)?$/;

/** A run of this folder, then the same again from its checkpoint with something changed. */
function resumed(
  name: string,
  says: (string | RegExp)[],
  change: Partial<FineTuneOptions> | ((dir: string) => void),
  first: Partial<FineTuneOptions> = {},
): BadInput {
  return {
    name,
    code: 'STATE_MISMATCH',
    says: ['checkpoint', ...says],
    prepare: async (dir) => {
      goodModel(dir);
      await tune(dir, first);
      if (typeof change === 'function') change(dir);
    },
    run: (dir) => tune(dir, { ...first, ...(typeof change === 'function' ? {} : change), resume: true }),
    mayLeave: LOG,
  };
}

const LORA: Partial<FineTuneOptions> = { method: 'lora', lora: { r: 2, loraAlpha: 4, targetModules: ['query'] } };

/** A device that takes no byte: what a full disk says, with no disk filled. */
const FULL = '/dev/full';
const FULL_DISK: BadInput[] = fs.existsSync(FULL)
  ? [
      {
        name: 'a full disk',
        code: 'FILE_NOT_WRITABLE',
        says: [FULL, 'ENOSPC', 'free some space'],
        prepare: (dir) => void goodModel(dir),
        run: (dir) => tune(dir, { callbacks: [eventLog(FULL)] }),
        mayLeave: LOG,
      },
    ]
  : [];
if (FULL_DISK.length === 0) console.warn(`skipped: a full disk, for there is no ${FULL} here`);

export const TRAINING_CASES: readonly BadInput[] = [
  option('zero epochs', { epochs: 0 }, 'epochs is 0', 'above 0'),
  option('endless epochs', { epochs: Number.POSITIVE_INFINITY }, 'epochs is Infinity'),
  option('zero steps', { maxSteps: 0 }, 'maxSteps is 0', 'whole number from 1'),
  option('half a step', { maxSteps: 1.5 }, 'maxSteps is 1.5'),
  option('a learning rate of 0', { learningRate: 0 }, 'learningRate is 0'),
  option('a negative learning rate', { learningRate: -1e-3 }, 'learningRate is -0.001'),
  option('a learning rate of NaN', { learningRate: Number.NaN }, 'learningRate is NaN'),
  option('a learning rate of 1e6', { learningRate: 1e6 }, 'learningRate is 1000000', 'at most 1'),
  option('a batch of nothing', { batchSize: 0 }, 'batchSize is 0'),
  option('a token budget of 0', { tokenBudget: 0 }, 'tokenBudget'),
  option('accumulation of 0', { gradientAccumulation: 0 }, 'gradientAccumulation is 0'),
  option('a seed of -1', { seed: -1 }, 'seed is -1'),
  option('a negative weight decay', { weightDecay: -0.1 }, 'weightDecay is -0.1'),
  option('warm-up of 200 %', { warmupRatio: 2 }, 'warmupRatio is 2'),
  option('an unknown schedule', { schedule: 'zigzag' }, 'schedule', 'zigzag', 'cosine'),
  option('label smoothing of 1', { labelSmoothing: 1 }, 'labelSmoothing'),
  option('class weights for other classes', { classWeights: [1, 2, 3] }, 'classWeights has 3', '2 classes'),
  option('an unknown method', { method: 'qlora' }, 'method', 'qlora', 'lora'),
  option('an unknown task', { task: 'translation' }, 'task', 'translation'),
  option('a text length that the model lacks', { maxLength: 1000 }, 'maxLength is 1000', '32'),
  option('a text length of 1', { maxLength: 1 }, 'maxLength is 1', 'from 3'),
  option('patience without a metric', { earlyStoppingPatience: 1 }, 'metricForBest'),
  option('a metric without a dev set', { metricForBest: 'accuracy' }, 'metricForBest', 'evaluate'),
  option('an unknown metric', { dev: SENTENCES, metricForBest: 'acuracy' }, 'acuracy', 'accuracy'),
  option('an unknown device', { device: 'tpu' }, 'device', 'tpu', 'cpu'),
  {
    name: 'no examples',
    code: 'INVALID_DATA',
    says: ['no labels', 'at least two'],
    prepare: (dir) => void goodModel(dir),
    run: (dir) => tune(dir, { train: [] }),
    mayLeave: LOG,
  },
  {
    name: 'an example without a label',
    code: 'INVALID_DATA',
    says: ['example 2', 'label'],
    prepare: (dir) => void goodModel(dir),
    run: (dir) => tune(dir, { train: [...SENTENCES.slice(0, 2), { text: 'no label' }] }),
    mayLeave: LOG,
  },
  {
    name: 'one class alone',
    code: 'INVALID_DATA',
    says: ['good', 'at least two'],
    prepare: (dir) => void goodModel(dir),
    run: (dir) => tune(dir, { train: SENTENCES.filter(({ label }) => label === 'good') }),
    mayLeave: LOG,
  },
  {
    name: 'a label that labelNames lacks',
    code: 'INVALID_DATA',
    says: ['example 1', '"bad"', 'good'],
    prepare: (dir) => void goodModel(dir),
    run: (dir) => tune(dir, { labelNames: ['good', 'fine'] }),
    mayLeave: LOG,
  },
  {
    name: 'a target that is no number',
    code: 'INVALID_DATA',
    says: ['example 0', '"good"', 'number'],
    prepare: (dir) => void goodModel(dir),
    run: (dir) => tune(dir, { task: 'regression' }),
    mayLeave: LOG,
  },
  {
    name: 'an infinite target',
    code: 'INVALID_DATA',
    says: ['Infinity', 'number'],
    prepare: (dir) => void goodModel(dir),
    run: (dir) => tune(dir, { task: 'regression', train: [{ text: 'a', label: 'Infinity' }] }),
    mayLeave: LOG,
  },
  {
    name: 'NaN in the weights',
    code: 'NON_FINITE_LOSS',
    says: ['loss', 'learning rate|weights'].map((text) => new RegExp(text)),
    prepare: withTensor('roberta.embeddings.LayerNorm.weight', { fill: Number.NaN }),
    run: (dir) => tune(dir),
    mayLeave: LOG,
  },
  {
    name: 'an output folder that is a file',
    code: 'FILE_NOT_WRITABLE',
    says: ['out'],
    prepare: (dir) => {
      goodModel(dir);
      fs.writeFileSync(path.join(dir, 'out'), 'text');
    },
    run: (dir) => tune(dir),
  },
  {
    name: 'an output folder below a file',
    code: 'FILE_NOT_WRITABLE',
    says: ['file.txt'],
    prepare: (dir) => {
      goodModel(dir);
      fs.writeFileSync(path.join(dir, 'file.txt'), 'text');
    },
    run: (dir) => tune(dir, { outputDir: path.join(dir, 'file.txt', 'out') }),
  },
  {
    name: 'an output folder with checkpoints of another run',
    code: 'INVALID_ARGUMENT',
    says: ['checkpoint', 'resume', 'overwrite'],
    prepare: async (dir) => {
      goodModel(dir);
      await tune(dir);
    },
    run: (dir) => tune(dir),
  },
  {
    name: 'resuming with other data',
    code: 'STATE_MISMATCH',
    says: ['checkpoint', 'of another run'],
    prepare: async (dir) => {
      goodModel(dir);
      await tune(dir);
    },
    run: (dir) =>
      tune(dir, { train: SENTENCES.map(({ text, label }) => ({ text: `${text} !`, label })), resume: true }),
    mayLeave: LOG,
  },
  {
    name: 'resuming with another seed',
    code: 'STATE_MISMATCH',
    says: ['checkpoint', 'seed'],
    prepare: async (dir) => {
      goodModel(dir);
      await tune(dir);
    },
    run: (dir) => tune(dir, { seed: 5, resume: true }),
    mayLeave: LOG,
  },
  {
    name: 'resuming another method',
    code: 'INVALID_ARGUMENT',
    says: ['holds an adapter', 'another folder'],
    prepare: async (dir) => {
      goodModel(dir);
      await tune(dir);
    },
    run: (dir) => tune(dir, { method: 'full', resume: true }),
    mayLeave: LOG,
  },
  resumed('resuming on another base model', ['base model'], (dir) =>
    withTensor('roberta.encoder.layer.0.attention.self.query.weight', { fill: 0.5 })(dir),
  ),
  resumed(
    'resuming with another LoRA scaling',
    ['its lora is', '"loraAlpha":4', '"loraAlpha":8'],
    { lora: { ...LORA.lora, loraAlpha: 8 } },
    LORA,
  ),
  resumed('resuming with more steps', ['Steps come from epochs', '--epochs', 'start anew'], { maxSteps: 40 }),
  resumed('resuming with another weight decay', ['its weightDecay is 0.01, here it is 0.5'], { weightDecay: 0.5 }),
  resumed('resuming with dropout', ['its dropout is'], { classifierDropout: 0.3 }),
  ...FULL_DISK,
  {
    name: 'an output folder where none can be made',
    code: 'FILE_NOT_WRITABLE',
    says: ['choose another place'],
    prepare: (dir) => void goodModel(dir),
    // Below a folder that takes no files (Linux), or that is one.
    run: (dir) =>
      tune(dir, { outputDir: fs.existsSync('/proc/self') ? '/proc/out' : path.join(dir, 'model/config.json/out') }),
  },
  {
    name: 'an output folder that vanishes',
    code: 'FILE_NOT_WRITABLE',
    says: ['events.jsonl', 'ENOENT', 'does not exist'],
    prepare: (dir) => void goodModel(dir),
    run: (dir) =>
      tune(dir, {
        epochs: 3,
        checkpointEvery: 1000,
        callbacks: [{ onStep: () => fs.rmSync(path.join(dir, 'out'), { recursive: true, force: true }) }],
      }),
  },
  {
    name: 'two runs into one folder',
    code: 'BUSY',
    says: ['another run', `process ${process.pid}`, 'choose another folder'],
    prepare: (dir) => void goodModel(dir),
    run: async (dir) => {
      const first = new AbortController();
      const running = tune(dir, { epochs: 1000, signal: first.signal }).catch(() => {});
      try {
        await tune(dir);
      } finally {
        first.abort();
        await running;
      }
    },
    mayLeave: LOG,
  },
  {
    name: 'pretraining with an option that is mistyped',
    code: 'INVALID_ARGUMENT',
    says: ['pretrain: has no option "maskProbabilty"', 'Did you mean maskProbability'],
    run: (dir) => pretrain({ model: dir, text: ['a'], outputDir: path.join(dir, 'out'), maskProbabilty: 0.2 } as never),
  },
  {
    name: 'a trainer with an option that is mistyped',
    code: 'INVALID_ARGUMENT',
    says: ['Trainer: has no option "warmupStep"', 'Did you mean warmupSteps'],
    run: () => new Trainer({ trace: () => undefined as never, learningRate: 1e-3, warmupStep: 3 } as never),
  },
  {
    name: 'resuming from a damaged checkpoint',
    code: 'INVALID_CHECKPOINT',
    says: ['state.json', 'delete the folder'],
    prepare: async (dir) => {
      goodModel(dir);
      await tune(dir);
      const checkpoint = fs.readdirSync(path.join(dir, 'out')).find((name) => name.startsWith('checkpoint-'));
      fs.writeFileSync(path.join(dir, 'out', checkpoint as string, 'state.json'), '{');
    },
    run: (dir) => tune(dir, { resume: true }),
    mayLeave: LOG,
  },
  {
    name: 'an abort signal that was given before',
    code: 'ABORTED',
    says: ['stopped'],
    prepare: (dir) => void goodModel(dir),
    run: (dir) => tune(dir, { signal: AbortSignal.abort() }),
    mayLeave: LOG,
  },
  {
    name: 'pretraining on no text',
    code: 'INVALID_ARGUMENT',
    says: ['text'],
    prepare: (dir) => void goodModel(dir),
    run: (dir) =>
      pretrain({ model: path.join(dir, 'model'), text: [], outputDir: path.join(dir, 'out'), maxSteps: 1 } as never),
    mayLeave: LOG,
  },
];
