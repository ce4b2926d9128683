/**
 * Sentences with a label for each word: rows {"tokens": […], "labels": […]} (JSONL, Parquet), and
 * CoNLL files with one word a line. Texts are read by read_examples.ts.
 */
import { checkKeys } from '../../base/options';
import type { TokenExample } from '../examples/example';
import { invalidData } from './bytes';
import { wordLabelsOf, wordsOf } from './cells';
import { findColumn } from './columns';
import { readConll } from './conll';
import { type DataFile, type DataFiles, resolveFiles } from './files';
import { fieldOf, readJsonl } from './jsonl';
import { openParquet } from './parquet';
import { type ExamplePiece, notesOf, READ_KEYS, type ReaderOptions, type ReadOptions } from './read_examples';

/** Columns under which words and labels are looked for, in this order. */
const TOKEN_COLUMNS = ['tokens', 'words'] as const;
const LABEL_COLUMNS = ['labels', 'ner_tags', 'tags', 'pos_tags', 'chunk_tags'] as const;

/** @throws FusedLoraError as {@link readTokenExamples}. */
export async function* readTokenPieces(
  file: DataFile,
  options: ReaderOptions,
  labelled: boolean,
): AsyncGenerator<ExamplePiece<TokenExample>> {
  const pieces = { jsonl: jsonlPieces, parquet: parquetPieces, conll: conllPieces } as const;
  let rows = 0;
  for await (const piece of pieces[file.format as keyof typeof pieces](file, options, labelled)) {
    rows += piece.examples.length;
    if (piece.examples.length > 0) yield piece;
  }
  if (rows === 0) throw invalidData(file.name, 'has no sentences; give a file with at least one');
}

/** Words and labels of a row whose columns are `what`. */
function sentence(
  tokens: string[],
  labels: (string | number)[] | undefined,
  what: [tokens: string, labels: string],
  place: string,
): TokenExample {
  if (!labels) return { tokens, place };
  if (labels.length !== tokens.length) {
    throw invalidData(place, `has ${tokens.length} words in "${what[0]}" and ${labels.length} in "${what[1]}"`);
  }
  return { tokens, labels, place };
}

async function* jsonlPieces(
  file: DataFile,
  options: ReaderOptions,
  labelled: boolean,
): AsyncGenerator<ExamplePiece<TokenExample>> {
  const unread = new Set<string>();
  let { textColumn: words, labelColumn: field } = options;
  for await (const rows of readJsonl(file, options.notes)) {
    const examples = rows.map((placed) => {
      const { row, place } = placed;
      words = fieldOf(placed, words, TOKEN_COLUMNS);
      const tokens = wordsOf(row[words], `field "${words}"`, place);
      for (const name of Object.keys(row)) if (name !== words) unread.add(name);
      if (!labelled) return { tokens, place };
      field = fieldOf(placed, field, LABEL_COLUMNS);
      unread.delete(field);
      return sentence(tokens, wordLabelsOf(row[field], `field "${field}"`, place), [words, field], place);
    });
    yield { examples, classNames: undefined };
  }
  if (labelled) options.notes?.unread(file, [...unread], true);
}

async function* parquetPieces(
  file: DataFile,
  options: ReaderOptions,
  labelled: boolean,
): AsyncGenerator<ExamplePiece<TokenExample>> {
  const table = await openParquet(file);
  const { columns } = table;
  const words = findColumn(columns, options.textColumn, TOKEN_COLUMNS, 'words', 'textColumn');
  const label = labelled ? findColumn(columns, options.labelColumn, LABEL_COLUMNS, 'labels', 'labelColumn') : undefined;
  const classNames = label === undefined ? undefined : table.classNames(label);
  const nameOf = (column: number | undefined) => columns.names?.[column ?? 0] as string;
  const names: [string, string] = [nameOf(words), nameOf(label)];
  const unread = (columns.names ?? []).filter((name) => !names.includes(name));
  if (labelled) options.notes?.unread(file, unread, true);
  for await (const rows of table.rows(label === undefined ? [words] : [words, label])) {
    const examples = rows.map(({ cells, place }) => {
      const tokens = wordsOf(cells[0], `column "${names[0]}"`, place);
      if (label === undefined) return { tokens, place };
      return sentence(tokens, wordLabelsOf(cells[1], `column "${names[1]}"`, place, classNames), names, place);
    });
    yield { examples, classNames };
  }
}

async function* conllPieces(
  file: DataFile,
  options: ReaderOptions,
  labelled: boolean,
): AsyncGenerator<ExamplePiece<TokenExample>> {
  for await (const examples of readConll(file, options, labelled)) yield { examples, classNames: undefined };
}

/**
 * Reads sentences in words, all of them into memory. Files ending in .jsonl (also .ndjson, .json)
 * have one object a line with a list of words and one of labels, Parquet files such columns; any
 * other is read as CoNLL: a word a line with its columns, tabs (or else blanks) between them, an
 * empty line after each sentence; -DOCSTART- lines and comments (# sent_id = 1) are left out. Each
 * may be gzipped.
 *
 * @param files as for `streamExamples`.
 * @param options textColumn and labelColumn are fields of rows (default: tokens or words; labels,
 * ner_tags, tags, pos_tags or chunk_tags), or columns of CoNLL files by number from 0 (default: the
 * first; the last).
 * @param labelled whether every word must have a label.
 * @throws FusedLoraError FILE_NOT_FOUND, INVALID_DATA naming file and line.
 */
export async function readTokenExamples(
  files: DataFiles,
  options: ReadOptions = {},
  labelled = true,
): Promise<TokenExample[]> {
  checkKeys('readTokenExamples', options, READ_KEYS);
  const all: TokenExample[] = [];
  const reader = { ...options, notes: notesOf(options) };
  for (const file of await resolveFiles(files, true, options)) {
    for await (const { examples } of readTokenPieces(file, reader, labelled)) for (const one of examples) all.push(one);
  }
  return all;
}
