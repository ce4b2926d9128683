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
import { type DataFile, type DataFiles, resolveFiles } from './files';
import { type ExamplePiece, notesOf, type ReaderOptions, readTextPieces } from './read_examples';
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

/** Reads pieces of the given data file as the task wants them. */
function piecesOf(
  task: Task,
  file: DataFile,
  options: ReaderOptions,
  labelled: boolean,
): AsyncGenerator<ExamplePiece<Example>> {
  return task === 'token-classification'
    ? readTokenPieces(file, options, labelled)
    : readTextPieces(file, options, labelled);
}

/** Groups of an iterable; what it throws is an error that says how far it came. */
async function* inPieces(task: Task, given: Iterable<Example> | AsyncIterable<Example>): AsyncGenerator<Example[]> {
  let piece: Example[] = [];
  let count = 0;
  try {
    for await (const example of given) {
      checkExamples(task, [example], count++);
      piece.push(example);
      if (piece.length < PIECE) continue;
      yield piece;
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
  if (piece.length > 0) yield piece;
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

/**
 * All examples, in memory.
 *
 * @param name of the option, for errors.
 * @param labelled whether rows of files must have labels.
 * @throws FusedLoraError what reading throws; INVALID_DATA for examples of another task's kind.
 */
export async function loadExamples(
  task: Task,
  data: ExampleData,
  options: LoadOptions,
  { name = 'train', labelled = true }: { name?: string; labelled?: boolean } = {},
): Promise<LoadedData> {
  if (isList(data)) {
    checkExamples(task, data);
    return { examples: data, classNames: undefined };
  }
  const examples: Example[] = [];
  let classNames: readonly string[] | undefined;
  const add = (piece: readonly Example[]) => {
    if (options.signal?.aborted) {
      throw new FusedLoraError('ABORTED', 'stopped while data were read', { cause: options.signal.reason });
    }
    for (const example of piece) examples.push(example);
  };
  if (isFiles(data)) {
    const reader = { ...options, notes: notesOf(options) };
    for (const file of await resolveFiles(data, task === 'token-classification', options)) {
      for await (const piece of piecesOf(task, file, reader, labelled)) {
        add(piece.examples);
        classNames ??= piece.classNames;
      }
    }
  } else for await (const piece of inPieces(task, iterableOf(data, name))) add(piece);
  return { examples, classNames };
}

/** Examples of a data file one by one, for predictions. */
export async function* streamFile(task: Task, data: DataFiles, options: LoadOptions): AsyncGenerator<Example> {
  const reader = { ...options, notes: notesOf(options) };
  for (const file of await resolveFiles(data, task === 'token-classification', options)) {
    for await (const { examples } of piecesOf(task, file, reader, false)) yield* examples;
  }
}

export interface DataStream {
  shards: Shard<Example>[];
  /** Whether it can be read again: all but iterables, of which nobody knows. */
  replayable: boolean;
}

/**
 * Examples that are read as they are needed: each file a shard.
 *
 * @throws FusedLoraError as `resolveFiles`; INVALID_ARGUMENT for what is no data.
 */
export async function openStream(task: Task, data: ExampleData, options: LoadOptions): Promise<DataStream> {
  if (!isList(data) && isFiles(data)) {
    const files = await resolveFiles(data, task === 'token-classification', options);
    const reader = { ...options, notes: notesOf(options) };
    const shards = files.map(
      (file): Shard<Example> =>
        async function* () {
          for await (const { examples } of piecesOf(task, file, reader, true)) yield examples;
        },
    );
    return { shards, replayable: true };
  }
  const given = isList(data) ? data : iterableOf(data, 'train');
  if (typeof data === 'function') {
    // The call above has shown that it gives an iterable, which is used first.
    let first: typeof given | undefined = given;
    const next = () => {
      const one = first ?? iterableOf(data, 'train');
      first = undefined;
      return one;
    };
    return { shards: [() => inPieces(task, next())], replayable: true };
  }
  return { shards: [() => inPieces(task, given)], replayable: isList(data) };
}
