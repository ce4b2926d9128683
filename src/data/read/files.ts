/**
 * From what people give as data (a file, a folder of shards, a glob, a list of them, a name on the
 * hub) to files in an order, each with its format. What is in them is read by read_examples.ts and
 * read_token_examples.ts.
 */
import * as fs from 'node:fs';
import * as path from 'node:path';
import { glob } from 'tinyglobby';
import { FusedLoraError } from '../../base/errors';
import { listNames } from '../../base/near';
import { type FetchOptions, fetchDataFiles, isHubUrl } from '../../io/hub';

export type FileFormat = 'csv' | 'tsv' | 'jsonl' | 'parquet' | 'conll';

export interface DataFile {
  path: string;
  /** As the caller knows it, for errors. */
  name: string;
  format: FileFormat;
}

/** A file, folder or glob, or `hf://datasets/owner/name/path` on the hub, or a list of them. */
export type DataFiles = string | readonly string[];

const FORMATS: Readonly<Record<string, FileFormat>> = {
  '.csv': 'csv',
  '.tsv': 'tsv',
  '.jsonl': 'jsonl',
  '.ndjson': 'jsonl',
  '.json': 'jsonl',
  '.parquet': 'parquet',
};
/** Of files with a word a line, where a folder is searched for them. */
const CONLL_EXTENSIONS = ['.conll', '.bio', '.iob', '.iob2', '.txt', '.tsv'];

const extensionOf = (name: string) => path.extname(name.replace(/\.gz$/i, '')).toLowerCase();

/** Sentences in words are read as CoNLL from every file that has no rows with lists. */
export function formatOf(name: string, words: boolean): FileFormat | undefined {
  const format = FORMATS[extensionOf(name)];
  if (!words || format === 'jsonl' || format === 'parquet') return format;
  return 'conll';
}

function requireFormat(name: string, words: boolean): FileFormat {
  const format = formatOf(name, words);
  if (format) return format;
  throw new FusedLoraError(
    'INVALID_ARGUMENT',
    `${name}: files ending in "${extensionOf(name)}" can not be read as data; use .csv, .tsv (tabs between columns), .jsonl (one JSON object a line) or ` +
      '.parquet, each also with .gz',
  );
}

/** Data files of a folder, by name; hidden ones and those that begin with _ are not data. */
async function shardsOf(dir: string, words: boolean): Promise<DataFile[]> {
  const names = (await fs.promises.readdir(dir)).filter((name) => !/^[._]/.test(name)).sort();
  const isData = (name: string) => {
    const extension = extensionOf(name);
    return extension in FORMATS || (words && CONLL_EXTENSIONS.includes(extension));
  };
  const files = names.filter(isData).map((name): DataFile => {
    const file = path.join(dir, name);
    return { path: file, name: file, format: requireFormat(file, words) };
  });
  if (files.length === 0) {
    throw new FusedLoraError(
      'INVALID_DATA',
      `${dir}: is a folder without data files (.csv, .tsv, .jsonl, .parquet, also with .gz); it has ${names.length === 0 ? 'nothing' : listNames(names)}. ` +
        'Give the folder that holds the shards, or the files.',
    );
  }
  const formats = new Set(files.map(({ format }) => format));
  if (formats.size > 1) {
    throw new FusedLoraError(
      'INVALID_DATA',
      `${dir}: has files of several formats (${[...formats].join(', ')}); say which by a glob such as ${path.join(dir, `*${extensionOf(files[0]!.name)}`)}`,
    );
  }
  return files;
}

async function filesOf(given: string, words: boolean, hub: FetchOptions): Promise<DataFile[]> {
  if (isHubUrl(given)) {
    const fetched = await fetchDataFiles(given, (name) => extensionOf(name) in FORMATS, hub);
    return fetched.map(({ path, name }) => ({ path, name, format: requireFormat(name, words) }));
  }
  const found = await fs.promises.stat(given).catch(() => undefined);
  if (found?.isDirectory()) return shardsOf(given, words);
  if (found || !/[*?[\]{}!]/.test(given)) return [{ path: given, name: given, format: requireFormat(given, words) }];
  const matched = (await glob(given.split(path.sep).join('/'), { expandDirectories: false })).sort();
  if (matched.length > 0) return matched.map((name) => ({ path: name, name, format: requireFormat(name, words) }));
  throw new FusedLoraError(
    'FILE_NOT_FOUND',
    `${given}: matches no file. Check the pattern; it is relative to ${process.cwd()}.`,
  );
}

/**
 * The files that were given, in the order of the list; those of a folder or glob by name.
 *
 * @param words whether they hold sentences in words.
 * @throws FusedLoraError INVALID_DATA for a folder without data files or with several formats;
 * FILE_NOT_FOUND for a glob that matches nothing; INVALID_ARGUMENT for another kind of file, or
 * none; what the hub throws.
 */
export async function resolveFiles(given: DataFiles, words = false, hub: FetchOptions = {}): Promise<DataFile[]> {
  const list = typeof given === 'string' ? [given] : given;
  if (list.length === 0)
    throw new FusedLoraError('INVALID_ARGUMENT', 'the list of data files is empty; give at least one');
  const files: DataFile[] = [];
  for (const one of list) files.push(...(await filesOf(one, words, hub)));
  return files;
}
