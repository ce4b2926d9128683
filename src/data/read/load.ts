/**
 * Examples in every form that people have them in: as lists, files, iterables, or functions that
 * give them. Files are read by read_examples.ts and read_token_examples.ts; the two data sets of a
 * run are opened together in training_data.ts.
 */
import { FusedLoraError } from '../../base/errors';
import type { Task } from '../../base/tasks';
import type { FetchOptions } from '../../io/hub';
import { checkExamples, type Example } from '../examples/example';
import type { ColumnOptions } from './columns';
import { type DataFiles, resolveFiles } from './files';
import { type ExamplePiece, notesOf, readTextPieces } from './read_examples';
import { readTokenPieces } from './read_token_examples';

/**
 * A list of examples; data files (a path, folder, glob, `hf://datasets/owner/name/path`, or a list
 * of them: see `readExamples`); an iterable; or a function that gives an iterable, the same
 * examples at each call.
 */
export type ExampleData =
  | readonly Example[]
  | DataFiles
  | Iterable<Example>
  | AsyncIterable<Example>
  | (() => Iterable<Example> | AsyncIterable<Example>);

export interface LoadOptions extends ColumnOptions, FetchOptions {}

/** Which data, and how they are read. */
export interface DataRequest {
  task: Task;
  data: ExampleData;
  options: LoadOptions;
  /** Of the option that gave the data, for errors. Default train. */
  name?: string;
  /** Whether rows of files must have labels. Default true. */
  labelled?: boolean;
}

/** Examples in memory, with the class names that their files tell. */
export interface LoadedData {
  examples: readonly Example[];
  classNames: readonly string[] | undefined;
}

const isList = (data: ExampleData): data is readonly Example[] =>
  Array.isArray(data) && (data.length === 0 || typeof data[0] !== 'string');

const isFiles = (data: ExampleData): data is DataFiles => typeof data === 'string' || Array.isArray(data);

/** A part of the data, read from its beginning at each call; examples come in groups. */
export type Shard<T> = () => AsyncIterable<readonly T[]>;

/** Examples that are handed on together. */
const PIECE = 1024;

/** Groups of an iterable; what it throws is an error that says how far it came. */
async function* inPieces(
  task: Task,
  given: Iterable<Example> | AsyncIterable<Example>,
): AsyncGenerator<ExamplePiece<Example>> {
  let piece: Example[] = [];
  let count = 0;
  try {
    for await (const example of given) {
      checkExamples(task, [example], count++);
      piece.push(example);
      if (piece.length < PIECE) continue;
      yield { examples: piece, classNames: undefined };
      piece = [];
    }
  } catch (cause) {
    if (cause instanceof FusedLoraError) throw cause;
    throw new FusedLoraError(
      'INVALID_DATA',
      `the iterable of examples failed after example ${count - 1} (${(cause as Error)?.message ?? String(cause)}); mend it, or catch the error there`,
      { cause },
    );
  }
  if (piece.length > 0) yield { examples: piece, classNames: undefined };
}

function iterableOf(
  data: Exclude<ExampleData, DataFiles | readonly Example[]>,
  name: string,
): Iterable<Example> | AsyncIterable<Example> {
  const given: unknown = typeof data === 'function' ? data() : data;
  if (typeof given === 'object' && given !== null && (Symbol.asyncIterator in given || Symbol.iterator in given)) {
    return given as Iterable<Example>;
  }
  throw new FusedLoraError(
    'INVALID_ARGUMENT',
    `${name} is ${given === null ? 'null' : typeof given}; it must be a list of examples, data files, an iterable, or a function that gives one`,
  );
}

/** Data that were found, and are read from their beginning at each call of a shard. */
export interface FoundData {
  /** Each file is one, and what is no file. */
  shards: (() => AsyncIterable<ExamplePiece<Example>>)[];
  /** Whether it can be read again: all but iterables, of which nobody knows. */
  replayable: boolean;
}

/**
 * Finds data in whatever form they are; nothing of them is read.
 *
 * @throws FusedLoraError as `resolveFiles`; INVALID_ARGUMENT for what is no data.
 */
export async function findData(request: DataRequest): Promise<FoundData> {
  const { task, data, options, name = 'train', labelled = true } = request;
  if (isFiles(data) && !isList(data)) {
    const words = task === 'token-classification';
    const reader = { ...options, notes: notesOf(options) };
    const files = await resolveFiles(data, words, options);
    const read = words ? readTokenPieces : readTextPieces;
    return { shards: files.map((file) => () => read(file, reader, labelled)), replayable: true };
  }
  const given = isList(data) ? data : iterableOf(data, name);
  // The call above has shown that a function gives an iterable, which is used first.
  let first: typeof given | undefined = given;
  const next = () => {
    const one = first ?? (typeof data === 'function' ? iterableOf(data, name) : given);
    first = undefined;
    return one;
  };
  return { shards: [() => inPieces(task, next())], replayable: isList(data) || typeof data === 'function' };
}

/**
 * All examples, in memory.
 *
 * @throws FusedLoraError as {@link findData}, and what reading throws; INVALID_DATA for examples of
 * another task's kind.
 */
export async function loadExamples(request: DataRequest): Promise<LoadedData> {
  const { task, data, options } = request;
  if (isList(data)) {
    checkExamples(task, data);
    return { examples: data, classNames: undefined };
  }
  const all: Example[] = [];
  let names: readonly string[] | undefined;
  const { shards } = await findData(request);
  for (const shard of shards) {
    for await (const { examples, classNames } of shard()) {
      if (options.signal?.aborted) {
        throw new FusedLoraError('ABORTED', 'stopped while data were read', { cause: options.signal.reason });
      }
      for (const example of examples) all.push(example);
      names ??= classNames;
    }
  }
  return { examples: all, classNames: names };
}

/** Examples of a data file one by one, for predictions. */
export async function* streamFile(task: Task, data: DataFiles, options: LoadOptions): AsyncGenerator<Example> {
  const { shards } = await findData({ task, data, options, labelled: false });
  for (const shard of shards) for await (const { examples } of shard()) yield* examples;
}

/** Examples that are read as they are needed. */
export interface DataStream {
  /** Each file is one. */
  shards: Shard<Example>[];
  replayable: boolean;
}

/** @throws FusedLoraError as {@link findData}. */
export async function openStream(request: DataRequest): Promise<DataStream> {
  const { shards, replayable } = await findData(request);
  const groups = (pieces: (typeof shards)[number]) =>
    async function* () {
      for await (const { examples } of pieces()) yield examples;
    };
  return { shards: shards.map(groups), replayable };
}
