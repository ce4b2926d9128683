/**
 * One JSON object a line: {"text": "…", "label": "…"}. Empty lines are passed over.
 * The lines come from text_lines.ts; what a field may hold is decided in cells.ts.
 */
import { nearNames } from '../../base/near';
import { invalidData } from './bytes';
import type { DataFile } from './files';
import { LeftOutLines, type ReadNotes } from './notes';
import { readLines } from './text_lines';

export type JsonRow = Record<string, unknown>;

export interface PlacedRow {
  row: JsonRow;
  /** The line that it was written in. */
  line: string;
  /** `train.jsonl:17` */
  place: string;
}

/** @throws FusedLoraError INVALID_DATA naming file and line for what is no JSON object. */
export async function* readJsonl(file: DataFile, notes?: ReadNotes): AsyncGenerator<PlacedRow[]> {
  const blank = new LeftOutLines();
  for await (const { lines, firstLine } of readLines(file)) {
    const rows: PlacedRow[] = [];
    lines.forEach((line, i) => {
      if (line.trim() === '') {
        blank.add(firstLine + i);
        return;
      }
      blank.followed();
      const place = `${file.name}:${firstLine + i}`;
      rows.push({ row: parseRow(line, place), line, place });
    });
    yield rows;
  }
  notes?.leftOut(file, blank.count, 'blank line', blank.first);
}

function parseRow(line: string, place: string): JsonRow {
  let row: unknown;
  try {
    row = JSON.parse(line);
  } catch (cause) {
    throw invalidData(place, `is not JSON (${(cause as Error).message}); a JSONL file has one object a line`, cause);
  }
  if (typeof row !== 'object' || row === null || Array.isArray(row)) {
    throw invalidData(place, 'is not a JSON object; a JSONL file has one object a line');
  }
  return row as JsonRow;
}

/**
 * The field to read: the wanted one, or the first usual one that is there.
 *
 * @throws FusedLoraError INVALID_DATA naming the fields that the row has and the one that may have
 * been meant.
 */
export function fieldOf(
  { row, place }: PlacedRow,
  wanted: string | number | undefined,
  usual: readonly string[],
): string {
  const field = wanted === undefined ? usual.find((name) => row[name] !== undefined) : String(wanted);
  if (field !== undefined && row[field] !== undefined) return field;
  const names = Object.keys(row);
  const [near] = wanted === undefined ? [] : nearNames(String(wanted), names, 1);
  const missing = wanted === undefined ? usual.map((name) => `"${name}"`).join(' or ') : `"${wanted}"`;
  throw invalidData(
    place,
    `has no field ${missing}${near === undefined ? '' : `; was "${near}" meant?`}; it has ${names.join(', ') || 'none'}. Name the field to use.`,
  );
}

/**
 * Whether the number of a field is written with a fraction: 1.0, which JSON.parse makes 1.
 * Quotes within a string are escaped, so that its text is no field.
 */
export function isFloatField({ row, line }: PlacedRow, field: string): boolean {
  if (typeof row[field] !== 'number') return false;
  const key = JSON.stringify(field).replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
  return new RegExp(`(?<!\\\\)${key}\\s*:\\s*-?\\d+(?:\\.\\d|[eE])`).test(line);
}
