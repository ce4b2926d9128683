/**
 * Texts with labels from data files of every format, as a stream or all at once.
 * Sentences in words are read by read_token_examples.ts; what else can be data is in load.ts.
 */
import { checkKeys } from '../../base/options';
import type { HubOptions } from '../../io/hub';
import { HUB_KEYS } from '../../io/hub';
import type { TextExample } from '../examples/example';
import { invalidData } from './bytes';
import { floatLabel, labelOf, textOf } from './cells';
import { COLUMN_KEYS, type ColumnOptions, findColumn, LABEL_COLUMNS, TEXT_COLUMNS } from './columns';
import { openCsv } from './csv';
import { type DataFile, type DataFiles, resolveFiles } from './files';
import { fieldOf, isFloatField, readJsonl } from './jsonl';
import { ReadNotes } from './notes';
import { openParquet } from './parquet';
import type { Table } from './table';
import { openTsv } from './tsv';

/** Column options, and for data on the hub `token` and the like. */
export interface ReadOptions extends ColumnOptions, HubOptions {
  /** Told what is passed over: columns that are not read, blank lines, comments. */
  onNotice?: ((line: string) => void) | undefined;
}

export const READ_KEYS: Record<keyof ReadOptions, true> = { ...COLUMN_KEYS, ...HUB_KEYS, onNotice: true };

/** What readers of single files take. */
export interface ReaderOptions extends ColumnOptions {
  notes?: ReadNotes | undefined;
}

/** For one reading of a data set, of all its files and as often as it is read. */
export function notesOf({ onNotice }: Pick<ReadOptions, 'onNotice'>): ReadNotes | undefined {
  return onNotice && new ReadNotes(onNotice);
}

/** Examples that are read together. */
export interface ExamplePiece<T> {
  examples: T[];
  /** Names of the classes by id, where the file tells them. */
  classNames: readonly string[] | undefined;
}

type OpenTable = (file: DataFile, options: ReaderOptions) => Promise<Table>;

/** @throws FusedLoraError as {@link readExamples}. */
export async function* readTextPieces(
  file: DataFile,
  options: ReaderOptions,
  labelled: boolean,
): AsyncGenerator<ExamplePiece<TextExample>> {
  let rows = 0;
  for await (const piece of READERS[file.format as keyof typeof READERS](file, options, labelled)) {
    rows += piece.examples.length;
    if (piece.examples.length > 0) yield piece;
  }
  if (rows === 0) throw invalidData(file.name, 'has no rows; give a file with at least one row');
}

/** Indices of the columns that are read. */
interface TextColumns {
  text: number;
  pair: number | undefined;
  label: number | undefined;
}

/** @throws FusedLoraError INVALID_DATA as `findColumn`. */
function textColumnsOf(
  { columns }: Table,
  { textColumn, textPairColumn, labelColumn }: ColumnOptions,
  labelled: boolean,
): TextColumns {
  return {
    text: findColumn(columns, textColumn, TEXT_COLUMNS, 'text', 'textColumn'),
    pair:
      textPairColumn === undefined
        ? undefined
        : findColumn(columns, textPairColumn, [], 'second text', 'textPairColumn'),
    label: labelled ? findColumn(columns, labelColumn, LABEL_COLUMNS, 'label', 'labelColumn') : undefined,
  };
}

async function* tablePieces(
  open: OpenTable,
  file: DataFile,
  options: ReaderOptions,
  labelled: boolean,
): AsyncGenerator<ExamplePiece<TextExample>> {
  const table = await open(file, options);
  const { columns } = table;
  const { text, pair, label } = textColumnsOf(table, options, labelled);
  const wanted = [text, pair, label].filter((column) => column !== undefined);
  const nameOf = (column: number) => `column ${columns.names ? `"${columns.names[column]}"` : column}`;
  const classNames = label === undefined ? undefined : table.classNames(label);
  const unread = [...new Array(columns.width).keys()].filter((column) => !wanted.includes(column));
  const names = unread.map((column) => columns.names?.[column] ?? String(column));
  options.notes?.unread(file, labelled ? names : withoutLabels(names, options), pair !== undefined);
  const byNumber = typeof options.textColumn === 'number' || typeof options.labelColumn === 'number';
  if (byNumber && options.header === undefined && columns.names && file.format !== 'parquet') {
    options.notes?.header(file, columns.names);
  }
  for await (const rows of table.rows(wanted)) {
    const examples = rows.map(({ cells, place }): TextExample => {
      const example: TextExample = { text: textOf(cells[0], nameOf(text), place) };
      if (pair !== undefined) example.textPair = textOf(cells[1], nameOf(pair), place);
      if (label !== undefined) {
        const cell = table.isFloat?.(label) ? floatLabel(cells.at(-1)) : cells.at(-1);
        const value = labelOf(cell, nameOf(label), place, classNames);
        if (value !== undefined) example.label = value;
      }
      example.place = place;
      return example;
    });
    yield { examples, classNames };
  }
}

/** A prediction asks for no label. */
const withoutLabels = (names: readonly string[], { labelColumn }: ColumnOptions) =>
  names.filter((name) => !LABEL_COLUMNS.includes(name as never) && name !== String(labelColumn));

async function* jsonlPieces(
  file: DataFile,
  options: ReaderOptions,
  labelled: boolean,
): AsyncGenerator<ExamplePiece<TextExample>> {
  const { textPairColumn } = options;
  // The first row says which of the usual names count; a file has no two fields of labels.
  let { textColumn, labelColumn } = options;
  const fields = new Set<string>();
  const read = new Set<string>();
  const used = (field: string) => {
    read.add(field);
    return field;
  };
  for await (const rows of readJsonl(file, options.notes)) {
    const examples = rows.map((placed): TextExample => {
      const { row, place } = placed;
      for (const name of Object.keys(row)) fields.add(name);
      const string = (field: string) => textOf(row[field], `field "${field}"`, place);
      textColumn = used(fieldOf(placed, textColumn, TEXT_COLUMNS));
      const example: TextExample = { text: string(textColumn) };
      if (textPairColumn !== undefined) example.textPair = string(used(fieldOf(placed, textPairColumn, [])));
      if (labelled) {
        labelColumn = used(fieldOf(placed, labelColumn, LABEL_COLUMNS));
        const value = isFloatField(placed, labelColumn) ? floatLabel(row[labelColumn]) : row[labelColumn];
        example.label = labelOf(value, `field "${labelColumn}"`, place);
      }
      example.place = place;
      return example;
    });
    yield { examples, classNames: undefined };
  }
  const names = [...fields].filter((name) => !read.has(name));
  options.notes?.unread(file, labelled ? names : withoutLabels(names, options), textPairColumn !== undefined);
}

/** What opens the formats whose rows have columns in order. */
const TABLES = { csv: openCsv, tsv: openTsv, parquet: (file: DataFile) => openParquet(file) } as const;

/** What reads each format. Sentences in words have readers of their own. */
const READERS = {
  csv: tablePieces.bind(undefined, TABLES.csv),
  tsv: tablePieces.bind(undefined, TABLES.tsv),
  parquet: tablePieces.bind(undefined, TABLES.parquet),
  jsonl: jsonlPieces,
} as const;

/**
 * Reads the beginning of a file, as far as it takes to see that its columns are there: of Parquet
 * the footer, because the first rows would be a whole row group.
 *
 * @throws FusedLoraError as {@link readExamples}.
 */
export async function checkTextHead(file: DataFile, options: ReaderOptions): Promise<void> {
  if (file.format === 'parquet') textColumnsOf(await TABLES[file.format](file), options, true);
  else await readOnce(readTextPieces(file, options, true));
}

/** Asks for the first piece alone, and closes the file. */
export async function readOnce(pieces: AsyncGenerator<unknown>): Promise<void> {
  await pieces.next();
  await pieces.return(undefined);
}

/**
 * Reads data row by row, a piece of a file in memory at a time.
 *
 * @param files a file, a folder of shards, a glob, `hf://datasets/owner/name/path`, or a list of
 * them: CSV (RFC 4180), TSV (GLUE's form: no quoting), JSONL (an object a line; also .ndjson,
 * .json) or Parquet, each also gzipped. The extension tells which.
 * @param labelled whether every row must have a label.
 * @returns rows in their order, each with its place (`train.csv:17`). Class ids of Parquet files
 * that name their classes become names.
 * @throws FusedLoraError FILE_NOT_FOUND; INVALID_DATA naming file and line; INVALID_ARGUMENT for
 * another kind of file.
 */
export async function* streamExamples(
  files: DataFiles,
  options: ReadOptions = {},
  labelled = true,
): AsyncGenerator<TextExample> {
  checkKeys('readExamples', options, READ_KEYS);
  const reader = { ...options, notes: notesOf(options) };
  for (const file of await resolveFiles(files, false, options)) {
    for await (const { examples } of readTextPieces(file, reader, labelled)) yield* examples;
  }
}

/** {@link streamExamples} as a list: all rows in memory. */
export async function readExamples(
  files: DataFiles,
  options: ReadOptions = {},
  labelled = true,
): Promise<TextExample[]> {
  checkKeys('readExamples', options, READ_KEYS);
  const reader = { ...options, notes: notesOf(options) };
  const all: TextExample[] = [];
  for (const file of await resolveFiles(files, false, options)) {
    for await (const { examples } of readTextPieces(file, reader, labelled)) for (const one of examples) all.push(one);
  }
  return all;
}
