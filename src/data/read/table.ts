/**
 * What files whose rows have columns in order look like to a reader, whatever their format.
 * csv.ts, tsv.ts and parquet.ts open one; JSON objects have fields instead (jsonl.ts).
 */
import type { Columns } from './columns';

export interface Row {
  /** One value a column that was asked for, in that order. */
  cells: readonly unknown[];
  /** `train.csv:17` */
  place: string;
}

export interface Table {
  columns: Columns;
  /** Names of the classes in a column, by id, where the file tells them. */
  classNames(column: number): readonly string[] | undefined;
  /** Whether a column holds floats by its type. Default: no column tells. */
  isFloat?(column: number): boolean;
  /** The rows, in pieces. */
  rows(columns: readonly number[]): AsyncGenerator<Row[]>;
}
