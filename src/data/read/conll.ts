/**
 * CoNLL files: a word a line with its columns, an empty line after each sentence, and lines that
 * are neither (document marks, comments). Rows with lists of words are read in the same form by
 * jsonl.ts and parquet.ts.
 */
import { invalidData } from './bytes';
import type { ColumnOptions } from './columns';
import type { DataFile } from './files';
import type { ReadNotes } from './notes';
import { readLines } from './text_lines';

/** A sentence as it stands in a file. */
export interface ConllSentence {
  tokens: string[];
  /** One a word; absent where none are asked for. */
  labels?: string[];
  /** `train.conll:17`, its first word. */
  place: string;
}

interface Line {
  text: string;
  cells: string[];
  tabs: boolean;
  number: number;
}

/**
 * Columns are between tabs where a line has one, so that a word may hold a blank; else between
 * blanks.
 */
function lineOf(text: string, number: number): Line {
  const tabs = text.includes('\t');
  const cells = tabs ? text.split(/\t+/).map((cell) => cell.trim()) : text.split(/ +/);
  return { text, cells, tabs, number };
}

/** `# sent_id = 1` and the like of CoNLL-U, `#begin document` of CoNLL-2012. */
const COMMENT = /^#\s*[^\s=]+\s*=\s|^#\s*(newdoc|newpar)\b|^#(begin|end) document\b/;

/** Takes lines one by one; sentences that are complete collect in `done`. */
class SentenceReader {
  done: ConllSentence[] = [];
  readonly marks = { count: 0, first: 0 };
  readonly comments = { count: 0, first: 0 };
  /** Of the first word in the file. */
  width: number | undefined;
  private tabs = false;
  private sentence: ConllSentence | undefined;
  /**
   * Lines at the head of a sentence that begin with #: comments, or words that do; the first other
   * line shows which.
   */
  private doubtful: Line[] = [];

  constructor(
    private readonly file: DataFile,
    private readonly options: ColumnOptions,
    private readonly labelled: boolean,
  ) {}

  take(raw: string, number: number): void {
    const text = raw.trim();
    if (text === '') {
      this.end();
      return;
    }
    const line = lineOf(text, number);
    if (line.cells[0] === '-DOCSTART-') {
      this.end();
      leaveOut(this.marks, number);
    } else if (text.startsWith('#') && !this.sentence) this.doubtful.push(line);
    else {
      this.settle(line.cells.length, line.tabs);
      this.word(line);
    }
  }

  end(): void {
    this.settle(this.width, this.tabs);
    if (this.sentence) this.done.push(this.sentence);
    this.sentence = undefined;
  }

  /** @param width, tabs of lines that are words, where one is known. */
  private settle(width: number | undefined, tabs: boolean): void {
    const lines = this.doubtful;
    this.doubtful = [];
    for (const line of lines) {
      const unlike = width === undefined ? false : line.cells.length !== width || line.tabs !== tabs;
      if (unlike || (!line.tabs && COMMENT.test(line.text))) leaveOut(this.comments, line.number);
      else this.word(line);
    }
  }

  private word({ text, cells, tabs, number }: Line): void {
    const place = `${this.file.name}:${number}`;
    const { textColumn, labelColumn } = this.options;
    if (this.labelled && cells.length < 2) {
      throw invalidData(place, `has "${text}" alone; a line is a word and its label`);
    }
    this.width ??= cells.length;
    this.tabs = tabs;
    if (this.labelled && labelColumn === undefined && cells.length !== this.width) {
      throw invalidData(
        place,
        `has ${cells.length} columns, the lines before ${this.width}; put tabs between columns where a word holds a blank, or give the number of the ` +
          'label (labelColumn, --label-column)',
      );
    }
    this.sentence ??= { tokens: [], ...(this.labelled && { labels: [] }), place };
    this.sentence.tokens.push(cellOf(cells, textColumn, 0, 'textColumn', place));
    this.sentence.labels?.push(cellOf(cells, labelColumn, cells.length - 1, 'labelColumn', place));
  }
}

function leaveOut(lines: { count: number; first: number }, number: number): void {
  if (lines.count++ === 0) lines.first = number;
}

/**
 * @throws FusedLoraError INVALID_DATA naming file and line for a word without a label, and for
 * columns that are not there.
 */
export async function* readConll(
  file: DataFile,
  options: ColumnOptions & { notes?: ReadNotes | undefined },
  labelled: boolean,
): AsyncGenerator<ConllSentence[]> {
  const reader = new SentenceReader(file, options, labelled);
  for await (const { lines, firstLine } of readLines(file)) {
    for (const [i, line] of lines.entries()) reader.take(line, firstLine + i);
    yield reader.done;
    reader.done = [];
  }
  reader.end();
  yield reader.done;
  const { marks, comments, width = 0 } = reader;
  const { textColumn = 0, labelColumn = width - 1 } = options;
  const read = labelled ? [Number(textColumn), Number(labelColumn)] : [Number(textColumn)];
  const unread = [...new Array(width).keys()].filter((column) => !read.includes(column));
  if (labelled) options.notes?.unread(file, unread.map(String), true);
  options.notes?.leftOut(file, marks.count, 'document mark', marks.first);
  options.notes?.leftOut(file, comments.count, 'comment line', comments.first);
}

function cellOf(
  cells: string[],
  wanted: string | number | undefined,
  usual: number,
  option: string,
  place: string,
): string {
  const index = wanted === undefined ? usual : Number(wanted);
  const cell = wanted === undefined || /^\d+$/.test(String(wanted)) ? cells[index] : undefined;
  if (cell !== undefined) return cell;
  throw invalidData(
    place,
    `has no column ${wanted}; it has ${cells.length}, from 0. Columns of CoNLL files go by number (${option}).`,
  );
}
