/** Data files by their extension. */
import { FusedLoraError } from '../errors';
import type { ColumnOptions } from './columns';
import type { TextExample } from './encode';
import { readJsonl } from './jsonl';
import { readTsv } from './tsv';

/**
 * Reads a data file: .tsv, or .jsonl (also .ndjson).
 *
 * @param labelled whether every row must have a label.
 * @returns its rows in their order, each with its place (`train.tsv:17`).
 * @throws FusedLoraError FILE_NOT_FOUND, INVALID_DATA naming file and line; INVALID_ARGUMENT for another kind of file.
 */
export function readExamples(file: string, options: ColumnOptions = {}, labelled = true): TextExample[] {
  const extension = /\.[^./\\]+$/.exec(file)?.[0].toLowerCase();
  if (extension === '.tsv') return readTsv(file, options, labelled);
  if (extension === '.jsonl' || extension === '.ndjson') return readJsonl(file, options, labelled);
  throw new FusedLoraError(
    'INVALID_ARGUMENT',
    `${file}: files ending in "${extension ?? ''}" can not be read as data; use .tsv (tabs between columns) or .jsonl (one JSON object a line)`,
  );
}
