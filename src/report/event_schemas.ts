/**
 * What a line of events.jsonl must hold to be made a report of: a log may be damaged, or anybody's.
 * Fields that came with later versions are optional. The types of events are in record.ts.
 */
import { z } from 'zod';

const text = z.string({ error: 'a string' });
const whole = z.int({ error: 'a whole number from 0' }).min(0, { error: 'a whole number from 0' });
const finite = z.number({ error: 'a number' });
/** JSON writes NaN as null. */
const number = finite.nullable();
const list = <T extends z.ZodType>(of: T) => z.array(of, { error: 'a list' });
const object = <T extends z.ZodRawShape>(shape: T) => z.looseObject(shape, { error: 'an object' });
const named = <T extends z.ZodType>(of: T) => z.record(z.string(), of, { error: 'an object' });

const time = text.refine((value) => !Number.isNaN(Date.parse(value)), { error: 'a time' });
const dataFacts = object({ examples: whole, lengthCounts: list(whole.nullable()) });

const meaning = object({
  task: text.optional(),
  labels: list(object({ name: text, train: whole.optional(), dev: whole.optional() })).optional(),
  numLabels: whole.optional(),
  maxLength: whole.optional(),
  truncationSide: text.optional(),
  threshold: finite.optional(),
  pairs: z.boolean({ error: 'true or false' }).optional(),
  cut: object({ train: whole.optional(), dev: whole.optional() }).optional(),
  tokenizer: text.optional(),
  newWeights: list(object({ path: text, reason: text })).optional(),
  sources: named(text).optional(),
  notes: list(text).optional(),
});

const start = object({
  time: time.optional(),
  version: text.optional(),
  task: text.optional(),
  method: text.optional(),
  device: text.optional(),
  settings: named(z.unknown()).optional(),
  meaning: meaning.optional(),
  parameters: object({ total: whole, learnable: whole }).optional(),
  parameterTable: list(
    z.tuple([text, z.union([z.literal(0), z.literal(1)]), whole], { error: '[name, 0 or 1, count]' }),
  ).optional(),
  data: object({ train: dataFacts, dev: dataFacts.optional() }).optional(),
  machine: object({
    node: text,
    platform: text,
    cpu: text,
    cores: whole,
    memoryBytes: whole,
    isa: text,
    threads: whole,
    gpu: text.optional(),
    compiler: text,
  }).optional(),
});

const details = object({
  labelNames: list(text),
  scoresOf: text.optional(),
  scores: list(object({ name: text, precision: finite, recall: finite, f1: finite, support: whole })).optional(),
  confusion: list(list(whole)).optional(),
  mistakes: list(object({ label: text, predicted: text, count: whole })).optional(),
  points: list(z.tuple([number, number], { error: '[target, prediction]' })).optional(),
  calibration: object({
    ece: finite,
    bins: list(object({ count: whole, predicted: finite, observed: finite })),
  }).optional(),
  hardest: list(
    object({
      place: text,
      text,
      textPair: text.optional(),
      label: text,
      prediction: text,
      probability: finite.optional(),
      loss: number,
    }),
  ),
});

/** By the event's name. */
export const EVENT_SCHEMAS: Readonly<Record<string, z.ZodType>> = {
  start,
  step: object({
    step: whole,
    totalSteps: whole.optional(),
    loss: number.optional(),
    learningRate: number.optional(),
    gradientNorm: number.optional(),
    tokens: whole.optional(),
    tokensPerSecond: number.optional(),
  }),
  evaluate: object({ step: whole, metrics: named(number) }),
  checkpoint: object({ step: whole }),
  details,
  end: object({
    metrics: named(number).optional(),
    training: named(z.unknown()).optional(),
    seconds: named(finite).optional(),
  }),
  stop: object({ code: text, message: text }),
};
