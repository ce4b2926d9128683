/** Which column of a data file holds what. */
export interface ColumnOptions {
  /** Column of the text: a name, or in TSV files a number from 0. Default: sentence or text, whichever is there. Of words: see `readTokenExamples`. */
  textColumn?: string;
  /** Column of the second text of a pair. Default: no pairs. */
  textPairColumn?: string;
  /** Column of the label. Default: label. */
  labelColumn?: string;
  /** Whether a TSV file's first line names its columns. Default true. */
  header?: boolean;
}

/** Names under which the text is looked for, in this order. */
export const TEXT_COLUMNS = ['sentence', 'text'] as const;
