/**
 * Comma-separated files (RFC 4180): a field with a comma, a quote or a line end is in quotes, and a
 * quote in it is doubled. Files with tabs, which have no quotes, are read by tsv.ts.
 */
import { Readable } from 'node:stream';
import { CsvError, type Options, parse } from 'csv-parse';
import { FusedLoraError } from '../../base/errors';
import { invalidData } from './bytes';
import type { ColumnOptions } from './columns';
import type { DataFile } from './files';
import type { ReadNotes } from './notes';
import type { Row, Table } from './table';
import { readTextPieces } from './text_lines';

interface Line {
  cells: string[];
  line: number;
}

/**
 * @throws FusedLoraError INVALID_DATA naming file and line: a quote that is not closed, a row with
 * more or fewer fields than the first.
 */
export async function openCsv(
  file: DataFile,
  options: ColumnOptions & { notes?: ReadNotes | undefined },
): Promise<Table> {
  const hasHeader = options.header ?? true;
  const delimiter = options.delimiter ?? (await findDelimiter(file));
  if (delimiter.length !== 1 || /["\r\n]/.test(delimiter)) {
    throw new FusedLoraError(
      'INVALID_ARGUMENT',
      `delimiter is ${JSON.stringify(delimiter)}; it must be one character, such as "," or ";", and no quote or line end`,
    );
  }
  const [first] = await firstOf(lines(file, delimiter));
  if (!first) throw invalidData(file.name, 'has no rows; give a file with at least one row');
  return {
    columns: {
      names: hasHeader ? first.cells : undefined,
      width: first.cells.length,
      place: `${file.name}:${first.line}`,
    },
    classNames: () => undefined,
    rows: (columns) => rows(lines(file, delimiter, options.notes), file.name, columns, first.cells.length, hasHeader),
  };
}

async function firstOf(pieces: AsyncGenerator<Line[]>): Promise<Line[]> {
  for await (const piece of pieces) return piece;
  return [];
}

async function* rows(
  pieces: AsyncGenerator<Line[]>,
  name: string,
  columns: readonly number[],
  width: number,
  hasHeader: boolean,
): AsyncGenerator<Row[]> {
  let skip = hasHeader;
  for await (const piece of pieces) {
    const from = skip ? 1 : 0;
    skip = false;
    yield piece.slice(from).map(({ cells, line }) => {
      const place = `${name}:${line}`;
      if (cells.length !== width) {
        throw invalidData(
          place,
          `has ${cells.length} columns, the first line ${width}; put a text that holds the delimiter or a line end in quotes`,
        );
      }
      return { cells: columns.map((column) => cells[column]), place };
    });
  }
}

/** A comma, or what the first line has in its stead. */
async function findDelimiter(file: DataFile): Promise<string> {
  for await (const { text } of readTextPieces(file)) {
    const line = text.slice(0, text.indexOf('\n') >>> 0);
    return line.includes(';') && !line.includes(',') ? ';' : ',';
  }
  return ',';
}

/** Records that are handed on together. */
const PIECE = 1024;
/**
 * A record is kept whole in memory: with a quote that is never closed, the rest of the file would
 * be.
 */
const MAX_RECORD_CHARACTERS = 1 << 26;

async function* lines(file: DataFile, delimiter: string, notes?: ReadNotes): AsyncGenerator<Line[]> {
  let done = 0;
  const blank = { count: 0, first: 0 };
  const options = {
    delimiter,
    relax_column_count: true,
    skip_empty_lines: true,
    max_record_size: MAX_RECORD_CHARACTERS,
    on_record: (cells: string[], { lines, empty_lines }: { lines: number; empty_lines: number }): Line => {
      if (empty_lines > 0 && blank.count === 0) blank.first = done + 1;
      blank.count = empty_lines;
      // `lines` is where the record ends; a place is where it begins.
      done = lines;
      return { cells, line: lines - cells.reduce((sum, cell) => sum + lineEnds(cell), 0) };
    },
  };
  const parser = parse(options as unknown as Options);
  const source = Readable.from(texts(file));
  source.on('error', (error) => parser.destroy(error));
  source.pipe(parser);
  let piece: Line[] = [];
  try {
    for await (const line of parser as AsyncIterable<Line>) {
      piece.push(line);
      if (piece.length === PIECE) {
        yield piece;
        piece = [];
      }
    }
  } catch (error) {
    throw error instanceof CsvError ? explained(error, file.name, done + 1) : error;
  } finally {
    parser.destroy();
    source.destroy();
  }
  if (piece.length > 0) yield piece;
  notes?.leftOut(file, blank.count, 'blank line', blank.first);
}

async function* texts(file: DataFile): AsyncGenerator<string> {
  for await (const { text } of readTextPieces(file)) yield text;
}

function lineEnds(cell: string): number {
  let found = 0;
  for (let at = cell.indexOf('\n'); at >= 0; at = cell.indexOf('\n', at + 1)) found++;
  return found;
}

/** @param first line after the last whole record: where one that is not closed begins. */
function explained(error: CsvError, name: string, first: number): FusedLoraError {
  const place = `${name}:${first}`;
  switch (error.code) {
    case 'CSV_QUOTE_NOT_CLOSED':
      return invalidData(
        place,
        'has a quote that is not closed; close it, or double it where it belongs to the text',
        error,
      );
    case 'CSV_INVALID_CLOSING_QUOTE':
    case 'INVALID_OPENING_QUOTE':
    case 'CSV_NON_TRIMABLE_CHAR_AFTER_CLOSING_QUOTE':
      return invalidData(
        place,
        'has a quote in the midst of a field; put the whole field in quotes and double those inside: "a ""fine"" film"',
        error,
      );
    case 'CSV_MAX_RECORD_SIZE':
      return invalidData(
        place,
        `has a row of more than ${MAX_RECORD_CHARACTERS >> 20} million characters; is a quote not closed?`,
        error,
      );
    default:
      return invalidData(place, `is not CSV (${error.message})`, error);
  }
}
