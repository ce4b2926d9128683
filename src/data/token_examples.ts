/** Sentences with a label for each word: JSONL rows {"tokens": […], "labels": […]}, and CoNLL files with one word a line. */
import * as path from 'node:path';
import type { ColumnOptions } from './columns';
import { parseRow, type Row } from './jsonl';
import { invalidData, readLines } from './text_file';

/** One sentence in words, as a data file or the caller has it. */
export interface TokenExample {
  tokens: readonly string[];
  /** One a word: a label name, or a class id. */
  labels?: readonly (string | number)[] | undefined;
  /** Where it stands, for errors: `train.jsonl:17`. Default: its number in the list. */
  place?: string | undefined;
}

/** Fields under which words and labels are looked for, in this order. */
const TOKEN_FIELDS = ['tokens', 'words'] as const;
const LABEL_FIELDS = ['labels', 'ner_tags', 'tags', 'pos_tags', 'chunk_tags'] as const;

/**
 * Reads sentences in words. A file ending in .jsonl (also .ndjson) has one object a line with a list of words and one of labels; any other is
 * read as CoNLL: a word a line with its columns, blank (or tab) between them, an empty line after each sentence.
 *
 * @param options textColumn and labelColumn are fields of JSONL rows (default: tokens or words; labels, ner_tags, tags, pos_tags or
 * chunk_tags), or columns of CoNLL files by number from 0 (default: the first; the last).
 * @param labelled whether every word must have a label.
 * @throws FusedLoraError FILE_NOT_FOUND, INVALID_DATA naming file and line.
 */
export function readTokenExamples(file: string, options: ColumnOptions = {}, labelled = true): TokenExample[] {
  const lines = readLines(file);
  const rows = ['.jsonl', '.ndjson'].includes(path.extname(file).toLowerCase())
    ? jsonlRows(file, lines, options, labelled)
    : conllRows(file, lines, options, labelled);
  if (rows.length === 0) throw invalidData(file, 'has no sentences; give a file with at least one');
  return rows;
}

function jsonlRows(file: string, lines: string[], options: ColumnOptions, labelled: boolean): TokenExample[] {
  const rows: TokenExample[] = [];
  lines.forEach((line, i) => {
    if (line.trim() === '') return;
    const place = `${file}:${i + 1}`;
    const row = parseRow(line, place);
    const [tokenField, tokens] = listOf(row, options.textColumn, TOKEN_FIELDS, place);
    const wrong = tokens.findIndex((token) => typeof token !== 'string');
    if (wrong >= 0) {
      throw invalidData(place, `"${tokenField}" has ${JSON.stringify(tokens[wrong])} at ${wrong}; words are strings`);
    }
    if (!labelled) {
      rows.push({ tokens: tokens as string[], place });
      return;
    }
    const [labelField, labels] = listOf(row, options.labelColumn, LABEL_FIELDS, place);
    const odd = labels.findIndex((label) => typeof label !== 'string' && typeof label !== 'number');
    if (odd >= 0) {
      throw invalidData(
        place,
        `"${labelField}" has ${JSON.stringify(labels[odd])} at ${odd}; labels are names or class ids`,
      );
    }
    if (labels.length !== tokens.length) {
      throw invalidData(place, `has ${tokens.length} words in "${tokenField}" and ${labels.length} in "${labelField}"`);
    }
    rows.push({ tokens: tokens as string[], labels: labels as (string | number)[], place });
  });
  return rows;
}

/** The list in the wanted field, or in the first usual one that is there. */
function listOf(
  row: Row,
  wanted: string | undefined,
  usual: readonly string[],
  place: string,
): [field: string, list: unknown[]] {
  const field = wanted ?? usual.find((name) => name in row);
  const list = field === undefined ? undefined : row[field];
  if (field !== undefined && Array.isArray(list)) return [field, list];
  const has = Object.keys(row).join(', ') || 'none';
  throw invalidData(
    place,
    list === undefined
      ? `has no field ${wanted === undefined ? usual.map((name) => `"${name}"`).join(' or ') : `"${wanted}"`}; it has ${has}. Name the field to use.`
      : `field "${field}" is ${JSON.stringify(list)}; it must be a list with one entry a word`,
  );
}

function conllRows(file: string, lines: string[], options: ColumnOptions, labelled: boolean): TokenExample[] {
  const rows: TokenExample[] = [];
  let tokens: string[] = [];
  let labels: string[] = [];
  let first = 0;
  const end = () => {
    if (tokens.length > 0) rows.push({ tokens, ...(labelled && { labels }), place: `${file}:${first}` });
    [tokens, labels] = [[], []];
  };
  lines.forEach((line, i) => {
    const cells = line.trim().split(/[ \t]+/);
    if (cells[0] === '' || cells[0] === '-DOCSTART-') {
      end();
      return;
    }
    const place = `${file}:${i + 1}`;
    if (tokens.length === 0) first = i + 1;
    tokens.push(cellOf(cells, options.textColumn, 0, 'textColumn', place));
    if (!labelled) return;
    if (cells.length < 2) throw invalidData(place, `has "${line.trim()}" alone; a line is a word and its label`);
    labels.push(cellOf(cells, options.labelColumn, cells.length - 1, 'labelColumn', place));
  });
  end();
  return rows;
}

function cellOf(cells: string[], wanted: string | undefined, usual: number, option: string, place: string): string {
  const index = wanted === undefined ? usual : Number(wanted);
  const cell = wanted === undefined || /^\d+$/.test(wanted) ? cells[index] : undefined;
  if (cell !== undefined) return cell;
  throw invalidData(
    place,
    `has no column ${wanted}; it has ${cells.length}, from 0. Columns of CoNLL files go by number (${option}).`,
  );
}
