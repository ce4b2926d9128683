/**
 * Tab-separated files as GLUE has them: no quoting, a header line or none. SST-2's columns are
 * found by themselves; CoLA has no header: `{ header: false, textColumn: '3', labelColumn: '1' }`.
 * Files with commas are read by csv.ts.
 */
import { invalidData } from './bytes';
import type { ColumnOptions } from './columns';
import type { DataFile } from './files';
import { LeftOutLines, type ReadNotes } from './notes';
import type { Row, Table } from './table';
import { readLines } from './text_lines';

/** @throws FusedLoraError INVALID_DATA naming file and line: a row that is too short. */
export async function openTsv(
  file: DataFile,
  options: ColumnOptions & { notes?: ReadNotes | undefined },
): Promise<Table> {
  const hasHeader = options.header ?? true;
  const cells = (await firstLine(file)).split('\t');
  const { notes } = options;
  return {
    columns: { names: hasHeader ? cells : undefined, width: cells.length, place: `${file.name}:1` },
    classNames: () => undefined,
    rows: (columns) => rows(file, columns, { width: cells.length, skipped: hasHeader ? 1 : 0, notes }),
  };
}

async function firstLine(file: DataFile): Promise<string> {
  for await (const { lines } of readLines(file)) return lines[0] ?? '';
  return '';
}

async function* rows(
  file: DataFile,
  columns: readonly number[],
  { width, skipped, notes }: { width: number; skipped: number; notes: ReadNotes | undefined },
): AsyncGenerator<Row[]> {
  const needed = Math.max(...columns) + 1;
  const blank = new LeftOutLines();
  const quotes = new Quotes();
  for await (const { lines, firstLine } of readLines(file)) {
    const piece: Row[] = [];
    for (let i = firstLine === 1 ? skipped : 0; i < lines.length; i++) {
      const line = lines[i] as string;
      // Of one column, it is a row whose text is empty.
      if (width > 1 && line.trim() === '' && !line.includes('\t')) {
        blank.add(firstLine + i);
        continue;
      }
      blank.followed();
      const cells = line.split('\t');
      const place = `${file.name}:${firstLine + i}`;
      if (cells.length < needed) {
        throw invalidData(
          place,
          `has ${cells.length} of at least ${needed} columns; are the columns separated by tabs?`,
        );
      }
      if (cells.length > width) {
        throw invalidData(place, `has ${cells.length} columns, the first line ${width}; a text can hold no tab`);
      }
      const read = columns.map((column) => clean(cells[column] as string));
      quotes.add(read, firstLine + i);
      piece.push({ cells: read, place });
    }
    yield piece;
  }
  if (quotes.areOfTheForm) notes?.quotes(file, quotes.first);
  notes?.leftOut(file, blank.count, 'blank line', blank.first);
}

/**
 * Whether cells look as if whoever wrote them had put them in quotes, as CSV does: all of them, or
 * one in which quotes are doubled.
 */
class Quotes {
  private rows = 0;
  private quoted = 0;
  private doubled = false;
  first = 0;

  add(cells: readonly string[], line: number): void {
    this.rows++;
    const inQuotes = cells.filter((cell) => /^"(?:[^"]|"")*"$/.test(cell));
    if (inQuotes.length === 0) return;
    if (this.first === 0) this.first = line;
    this.quoted++;
    this.doubled ||= inQuotes.some((cell) => cell.slice(1, -1).includes('""'));
  }

  get areOfTheForm(): boolean {
    return this.doubled || (this.quoted > 0 && this.quoted === this.rows);
  }
}

/** GLUE's sentences end in a space, which is not theirs. */
const clean = (cell: string) => (cell.endsWith(' ') ? cell.slice(0, -1) : cell);
