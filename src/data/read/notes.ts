/**
 * What readers pass over in data files, told with file and line: columns that nobody asked for,
 * blank rows, comments. What can not be read at all is an error (bytes.ts: invalidData).
 */
import { listNames } from '../../base/near';
import type { DataFile } from './files';

const TEXT_LIKE = /text|sentence|question|answer|premise|hypothesis|query|document|title|body|review|comment/i;

/** Tells each thing once, however often a file is read and in however many shards it is. */
export class ReadNotes {
  private readonly told = new Set<string>();

  constructor(private readonly tell: (line: string) => void) {}

  /**
   * @param names of the columns that are left unread.
   * @param hasPair whether a second text is read.
   */
  unread(file: DataFile, names: readonly string[], hasPair: boolean): void {
    if (names.length === 0) return;
    const quoted = names.map((name) => `"${name}"`);
    const hint =
      !hasPair && names.some((name) => TEXT_LIKE.test(name))
        ? '; a second text is named by textPairColumn (--text-pair-column)'
        : '';
    this.once(`columns ${quoted.join()}`, `${file.name}: columns that are not read: ${listNames(quoted)}${hint}`);
  }

  /** @param names of the columns in a first line that nobody said is a header. */
  header(file: DataFile, names: readonly string[]): void {
    const line = `${file.name}:1: is taken for the names of columns (${listNames([...names])}); without them give --no-header (header: false)`;
    this.once(line, line);
  }

  /** @param first the line of the first cell in quotes. */
  quotes(file: DataFile, first: number): void {
    const line = `${file.name}:${first}: quotes are kept as a part of what stands in them, for TSV knows none; where they are not meant, write the file as CSV`;
    this.once(line, line);
  }

  /** @param first the line of the first one. */
  leftOut(file: DataFile, count: number, what: string, first: number): void {
    const line = `${file.name}: ${count} ${what}${count === 1 ? '' : 's'} left out (the first: line ${first})`;
    if (count > 0) this.once(line, line);
  }

  private once(key: string, line: string): void {
    if (this.told.has(key)) return;
    this.told.add(key);
    this.tell(line);
  }
}

/**
 * Lines of one kind in a file that are passed over; those at its very end, which nothing follows,
 * are not counted.
 */
export class LeftOutLines {
  private waiting: number[] = [];
  count = 0;
  first = 0;

  /** A line of the kind. */
  add(line: number): void {
    if (this.count + this.waiting.length === 0) this.first = line;
    this.waiting.push(line);
  }

  /** A row came after them. */
  followed(): void {
    this.count += this.waiting.length;
    this.waiting = [];
  }
}
