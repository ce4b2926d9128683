/**
 * How much a Parquet file may unpack to: what its headers claim is held to limits before any memory
 * is asked for, since a few bytes of a file can claim any number of values.
 * Who reads the values: parquet.ts. A line of text has its limit in text_lines.ts.
 */
import type { FileMetaData } from 'hyparquet' with { 'resolution-mode': 'import' };
import { invalidData } from './bytes';

export interface ParquetLimits {
  /** Bytes of one page, unpacked. */
  pageBytes: number;
  /** Values of one column in one row group, nulls counted. */
  groupValues: number;
  /** Bytes of a whole file that comes gzipped: it is unzipped into memory. */
  fileBytes: number;
}

/** Far above what writers make: 1 MiB a page, about a million rows a group. */
export const PARQUET_LIMITS: Readonly<ParquetLimits> = {
  pageBytes: 2 ** 30,
  groupValues: 2 ** 26,
  fileBytes: 2 ** 31,
};

export type ColumnChunk = NonNullable<FileMetaData['row_groups'][number]['columns'][number]['meta_data']>;
type ReadHeader = typeof import('hyparquet/src/column.js', { with: { 'resolution-mode': 'import' }}).parquetHeader;

/** @throws FusedLoraError INVALID_DATA for a limit that is exceeded. */
export function tooMuch(place: string, what: string, found: number | bigint, limit: number): Error {
  return invalidData(
    place,
    `${what} ${found}, and ${limit} is the most that is read. Is the file damaged? If not, write it with smaller row groups`,
  );
}

/** Of the file's footer: the rows of each group. */
export function checkGroups(place: string, metadata: FileMetaData, limits: ParquetLimits): void {
  for (const { num_rows: rows } of metadata.row_groups)
    if (!(Number(rows) <= limits.groupValues))
      throw tooMuch(place, 'rows of one of its groups:', rows, limits.groupValues);
}

/** Byte range of a column of a row group. */
export function rangeOf(chunk: ColumnChunk): { start: number; end: number } {
  const start = Number(chunk.dictionary_page_offset || chunk.data_page_offset);
  return { start, end: start + Number(chunk.total_compressed_size) };
}

/**
 * Of the headers of all pages of a column in a row group.
 *
 * @param bytes of {@link rangeOf}.
 */
export function checkPages(
  place: string,
  bytes: ArrayBuffer,
  chunk: ColumnChunk,
  readHeader: ReadHeader,
  limits: ParquetLimits,
): void {
  if (!(Number(chunk.num_values) <= limits.groupValues))
    throw tooMuch(place, 'values of one of its columns in a group:', chunk.num_values, limits.groupValues);
  const reader = { view: new DataView(bytes), offset: 0 };
  let values = 0;
  while (reader.offset < bytes.byteLength - 1) {
    const header = readHeader(reader);
    const { data_page_header: v1, data_page_header_v2: v2, dictionary_page_header: dictionary } = header;
    const size = Number(header.uncompressed_page_size);
    if (!(size >= 0 && size <= limits.pageBytes))
      throw tooMuch(place, 'bytes of one of its pages:', size, limits.pageBytes);
    const inPage = Number(v1?.num_values ?? v2?.num_values ?? 0);
    const inDictionary = Number(dictionary?.num_values ?? 0);
    if (!(inPage >= 0 && inDictionary >= 0 && inDictionary <= limits.groupValues))
      throw tooMuch(place, 'values of one of its pages:', Math.max(inPage, inDictionary), limits.groupValues);
    values += inPage;
    if (!(values <= Number(chunk.num_values)))
      throw invalidData(
        place,
        `is damaged: pages of ${values} values in a column of ${chunk.num_values}; copy it again`,
      );
    const packed = Number(header.compressed_page_size);
    if (!(packed >= 0 && reader.offset + packed <= bytes.byteLength))
      throw invalidData(place, 'is damaged: a page that ends after its column; copy it again');
    reader.offset += packed;
  }
}
