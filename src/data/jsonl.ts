/** One JSON object a line: {"text": "…", "label": "…"}. Empty lines are passed over. */
import { type ColumnOptions, TEXT_COLUMNS } from './columns';
import type { TextExample } from './encode';
import { invalidData, readLines } from './text_file';

/**
 * @param labelled whether every row must have a label: a string, a number, or a list of them.
 * @throws FusedLoraError INVALID_DATA naming file and line.
 */
export function readJsonl(file: string, options: ColumnOptions, labelled: boolean): TextExample[] {
  const examples: TextExample[] = [];
  readLines(file).forEach((line, i) => {
    if (line.trim() === '') return;
    const place = `${file}:${i + 1}`;
    const row = parseRow(line, place);
    const textField = options.textColumn ?? TEXT_COLUMNS.find((name) => name in row) ?? TEXT_COLUMNS[1];
    const label = labelled ? labelOf(row, options.labelColumn ?? 'label', place) : undefined;
    examples.push({
      text: stringOf(row, textField, place),
      ...(options.textPairColumn !== undefined && { textPair: stringOf(row, options.textPairColumn, place) }),
      ...(label !== undefined && { label }),
      place,
    });
  });
  if (examples.length === 0) throw invalidData(file, 'has no rows; give a file with at least one row');
  return examples;
}

export type Row = Record<string, unknown>;

/** The object of one line. @throws FusedLoraError INVALID_DATA. */
export function parseRow(line: string, place: string): Row {
  let row: unknown;
  try {
    row = JSON.parse(line);
  } catch (cause) {
    throw invalidData(place, `is not JSON (${(cause as Error).message}); a JSONL file has one object a line`);
  }
  if (typeof row !== 'object' || row === null || Array.isArray(row)) {
    throw invalidData(place, 'is not a JSON object; a JSONL file has one object a line');
  }
  return row as Row;
}

function missing(row: Row, field: string, place: string): Error {
  return invalidData(
    place,
    `has no field "${field}"; it has ${Object.keys(row).join(', ') || 'none'}. Name the field to use.`,
  );
}

function stringOf(row: Row, field: string, place: string): string {
  const value = row[field];
  if (value === undefined) throw missing(row, field, place);
  if (typeof value !== 'string')
    throw invalidData(place, `field "${field}" is ${JSON.stringify(value)}; it must be a string`);
  return value;
}

function labelOf(row: Row, field: string, place: string): string | number | (string | number)[] {
  const value = row[field];
  if (value === undefined) throw missing(row, field, place);
  if (typeof value === 'string' || typeof value === 'number') return value;
  if (Array.isArray(value) && value.every((x) => typeof x === 'number' || typeof x === 'string')) return value;
  throw invalidData(
    place,
    `field "${field}" is ${JSON.stringify(value)}; a label is a string, a number or a list of them`,
  );
}
