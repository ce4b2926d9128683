/**
 * Tab-separated files as GLUE has them: no quoting, a header line or none. SST-2's columns are found by themselves; CoLA has
 * no header: `{ header: false, textColumn: '3', labelColumn: '1' }`.
 */
import { type ColumnOptions, TEXT_COLUMNS } from './columns';
import type { TextExample } from './encode';
import { invalidData, readLines } from './text_file';

/**
 * @param labelled whether every row must have a label.
 * @throws FusedLoraError INVALID_DATA naming file and line: a column that is missing, a row that is too short.
 */
export function readTsv(file: string, options: ColumnOptions, labelled: boolean): TextExample[] {
  const lines = readLines(file);
  const header = (options.header ?? true) ? (lines[0] ?? '').split('\t') : undefined;
  const width = (header ?? (lines[0] ?? '').split('\t')).length;
  const column = (wanted: string | undefined, usual: readonly string[], what: string, option: string) => {
    const index = findColumn(wanted, usual, header, width);
    if (index !== undefined) return index;
    const has = header
      ? `the header names ${header.map((name) => `"${name}"`).join(', ')}`
      : `there are ${width} columns, from 0`;
    const remedy = header ? `name it with ${option}, or say that there is no header` : `give its number with ${option}`;
    throw invalidData(
      `${file}:1`,
      `has no column ${wanted === undefined ? `for the ${what}` : `"${wanted}"`}; ${has}: ${remedy}`,
    );
  };
  const text = column(options.textColumn, TEXT_COLUMNS, 'text', 'textColumn');
  const pair =
    options.textPairColumn === undefined
      ? undefined
      : column(options.textPairColumn, [], 'second text', 'textPairColumn');
  const label = labelled ? column(options.labelColumn, ['label'], 'label', 'labelColumn') : undefined;
  const needed = Math.max(text, pair ?? 0, label ?? 0) + 1;

  const first = header ? 1 : 0;
  if (lines.length <= first) throw invalidData(file, 'has a header and no rows; give a file with at least one row');
  return lines.slice(first).map((line, i) => {
    const cells = line.split('\t');
    const place = `${file}:${first + i + 1}`;
    if (cells.length < needed) {
      throw invalidData(place, `has ${cells.length} of at least ${needed} columns; are the columns separated by tabs?`);
    }
    return {
      text: clean(cells[text]),
      ...(pair !== undefined && { textPair: clean(cells[pair]) }),
      ...(label !== undefined && { label: clean(cells[label]) }),
      place,
    };
  });
}

/** GLUE's sentences end in a space, which is not theirs. */
const clean = (cell: string | undefined) => (cell ?? '').replace(/ $/, '');

/** Index of the wanted column: by name in a header, by number from 0 anywhere; without a wish, the first usual name. */
function findColumn(
  wanted: string | undefined,
  usual: readonly string[],
  header: readonly string[] | undefined,
  width: number,
): number | undefined {
  const names = wanted === undefined ? usual : [wanted];
  for (const name of names) {
    const index = header?.indexOf(name) ?? -1;
    if (index >= 0) return index;
  }
  if (wanted !== undefined && /^\d+$/.test(wanted) && Number(wanted) < width) return Number(wanted);
  return undefined;
}
