/**
 * The column of the text, of the second text and of the label: given by name or number, or the
 * usual ones. Fields of JSON objects are found in jsonl.ts.
 */
import { FusedLoraError } from '../../base/errors';
import { listNames, nearNames } from '../../base/near';

/** Which columns of data files are read, by name or number. */
export interface ColumnOptions {
  /**
   * Column of the text: a name, or in files with columns in order (CSV, TSV, Parquet, CoNLL) a
   * number from 0. Default: sentence or text, whichever is there. Of words: see
   * `readTokenExamples`.
   */
  textColumn?: string | number;
  /** Column of the second text of a pair. Default: no pairs. */
  textPairColumn?: string | number;
  /** Column of the label. Default: label or labels. */
  labelColumn?: string | number;
  /** Whether the first line of a CSV or TSV file names its columns. Default true. */
  header?: boolean;
  /**
   * What separates the columns of a CSV file, one character. Default: a comma; a semicolon where
   * the first line has those alone.
   */
  delimiter?: string;
}

export const COLUMN_KEYS: Record<keyof ColumnOptions, true> = {
  textColumn: true,
  textPairColumn: true,
  labelColumn: true,
  header: true,
  delimiter: true,
};

/** Names under which the text is looked for, in this order. */
export const TEXT_COLUMNS = ['sentence', 'text'] as const;
/** Names under which the label is looked for, in this order. */
export const LABEL_COLUMNS = ['label', 'labels'] as const;

/** The columns of a file, for {@link findColumn} and its errors. */
export interface Columns {
  /** Undefined where the file has no header. */
  names: readonly string[] | undefined;
  width: number;
  /** Where they are said: `train.csv:1`. */
  place: string;
}

/**
 * Index of the wanted column: by name in a header, by number from 0 anywhere; without a wish, the
 * first usual name.
 *
 * @param what, option for the error: the column's purpose and the option that names it.
 * @throws FusedLoraError INVALID_DATA naming the file, the columns that it has and the one that may
 * have been meant.
 */
export function findColumn(
  { names, width, place }: Columns,
  wanted: string | number | undefined,
  usual: readonly string[],
  what: string,
  option: keyof ColumnOptions,
): number {
  for (const name of wanted === undefined ? usual : [String(wanted)]) {
    const index = names?.indexOf(name) ?? -1;
    if (index < 0) continue;
    const again = names?.indexOf(name, index + 1) ?? -1;
    if (again < 0) return index;
    throw new FusedLoraError(
      'INVALID_DATA',
      `${place}: two columns are named "${name}" (${index} and ${again}); give the number of the one to use with ${option}`,
    );
  }
  if (wanted !== undefined && /^\d+$/.test(String(wanted)) && Number(wanted) < width) return Number(wanted);
  const [near] = wanted === undefined ? [] : nearNames(String(wanted), names ?? [], 1);
  const has = names
    ? `the header names ${listNames(names.map((name) => `"${name}"`))}`
    : `there are ${width} columns, from 0`;
  const remedy = names
    ? `name it with ${option}, or say that there is no header (header: false, --no-header)`
    : `give its number with ${option}`;
  throw new FusedLoraError(
    'INVALID_DATA',
    `${place}: has no column ${wanted === undefined ? `for the ${what}` : `"${wanted}"`}${near === undefined ? '' : `; was "${near}" meant?`}; ${has}: ${remedy}`,
  );
}
