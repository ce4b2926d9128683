/**
 * Parquet files, one of their row groups in memory at a time, as a Table (table.ts).
 * hyparquet is an ECMAScript module alone, so it is imported when it is first needed.
 */
import type { AsyncBuffer, FileMetaData } from 'hyparquet' with { 'resolution-mode': 'import' };
import { FusedLoraError } from '../../base/errors';
import { invalidData, openFile, readBytes } from './bytes';
import type { DataFile } from './files';
import { checkGroups, checkPages, PARQUET_LIMITS, type ParquetLimits, rangeOf, tooMuch } from './parquet_limits';
import type { Row, Table } from './table';

const libraries = async () => {
  const [parquet, { parquetHeader }, { compressors }] = await Promise.all([
    import('hyparquet'),
    import('hyparquet/src/column.js'),
    import('hyparquet-compressors'),
  ]);
  return { ...parquet, parquetHeader, compressors };
};

/**
 * @throws FusedLoraError FILE_NOT_FOUND; INVALID_DATA naming file (and row) for what is cut off or
 * damaged.
 */
export async function openParquet(file: DataFile, limits: ParquetLimits = PARQUET_LIMITS): Promise<Table> {
  const { parquetMetadataAsync } = await libraries();
  const metadata = await withBuffer(file, limits, async (buffer) => {
    if (buffer.byteLength < 12) throw invalidData(file.name, 'is no Parquet file: it is too short; copy it again');
    const start = Buffer.from(await buffer.slice(0, 4)).toString('latin1');
    const end = Buffer.from(await buffer.slice(buffer.byteLength - 4)).toString('latin1');
    if (start !== 'PAR1' || end !== 'PAR1') {
      throw invalidData(
        file.name,
        start === 'PAR1'
          ? 'does not end as Parquet files do: it is cut off; copy it again'
          : 'does not begin as Parquet files do (PAR1); is it another format?',
      );
    }
    return guarded(file.name, () => parquetMetadataAsync(buffer));
  });
  checkGroups(file.name, metadata, limits);
  const top = topLevel(metadata);
  const names = top.map(({ name }) => name);
  const features = featuresOf(metadata);
  return {
    columns: { names, width: names.length, place: file.name },
    isFloat: (column) => isFloat(top[column]),
    classNames: (column) => classNamesOf(features[names[column] as string]),
    rows: (columns) =>
      rows(
        file,
        metadata,
        columns.map((column) => names[column] as string),
        limits,
      ),
  };
}

async function* rows(
  file: DataFile,
  metadata: FileMetaData,
  columns: string[],
  limits: ParquetLimits,
): AsyncGenerator<Row[]> {
  const { parquetReadObjects, parquetHeader, compressors } = await libraries();
  let from = 0;
  for (const group of metadata.row_groups) {
    const end = from + Number(group.num_rows);
    if (!(end >= from && end <= Number(metadata.num_rows))) {
      throw invalidData(
        file.name,
        `is damaged: a group of ${group.num_rows} rows in a file of ${metadata.num_rows}; copy it again`,
      );
    }
    const first = from;
    const place = `${file.name}: rows ${first} to ${end - 1}`;
    const read = await withBuffer(file, limits, (buffer) =>
      guarded(place, async () => {
        for (const { meta_data: chunk } of group.columns) {
          if (!chunk || !columns.includes(chunk.path_in_schema[0] as string)) continue;
          const { start, end: chunkEnd } = rangeOf(chunk);
          checkPages(place, await buffer.slice(start, chunkEnd), chunk, parquetHeader, limits);
        }
        return parquetReadObjects({
          file: buffer,
          metadata,
          columns: [...new Set(columns)],
          compressors,
          rowStart: first,
          rowEnd: end,
        });
      }),
    );
    if (read.length !== end - first) {
      throw invalidData(
        file.name,
        `is damaged: has ${read.length} of ${end - first} rows from row ${first}; copy it again`,
      );
    }
    yield read.map((row, i) => ({
      cells: columns.map((column) => plain(row[column])),
      place: `${file.name}: row ${first + i}`,
    }));
    from = end;
  }
}

/** Whole numbers of 64 bits as numbers where those hold them. */
function plain(value: unknown): unknown {
  if (typeof value === 'bigint') return Number.isSafeInteger(Number(value)) ? Number(value) : String(value);
  if (Array.isArray(value)) return value.map(plain);
  return ArrayBuffer.isView(value) && !(value instanceof DataView)
    ? Array.from(value as unknown as ArrayLike<unknown>, plain)
    : value;
}

async function guarded<T>(place: string, read: () => Promise<T>): Promise<T> {
  try {
    return await read();
  } catch (cause) {
    if (cause instanceof FusedLoraError) throw cause;
    // What its decoders make of damaged bytes is any kind of error.
    throw invalidData(
      place,
      `can not be read as Parquet (${(cause as Error).message}); is the file damaged? Copy it again`,
      cause,
    );
  }
}

/** The file for random access; one that is gzip as a whole is unzipped into memory. */
async function withBuffer<T>(
  file: DataFile,
  { fileBytes }: ParquetLimits,
  use: (buffer: AsyncBuffer) => Promise<T>,
): Promise<T> {
  if (/\.gz$/i.test(file.path)) {
    const chunks: Buffer[] = [];
    let size = 0;
    for await (const chunk of readBytes(file)) {
      size += chunk.length;
      if (size > fileBytes) throw tooMuch(file.name, 'bytes after it was unzipped: more than', fileBytes, fileBytes);
      chunks.push(chunk);
    }
    const all = Buffer.concat(chunks);
    const bytes = all.buffer.slice(all.byteOffset, all.byteOffset + all.byteLength) as ArrayBuffer;
    return use({ byteLength: bytes.byteLength, slice: (start, end) => bytes.slice(start, end) });
  }
  const handle = await openFile(file);
  try {
    const { size } = await handle.stat();
    const read = async (start: number, end: number) => {
      // A damaged file may ask for any range.
      if (!(start >= 0 && end >= start && end <= size))
        throw new Error(`asks for the bytes ${start} to ${end} of ${size}`);
      const bytes = new Uint8Array(end - start);
      const { bytesRead } = await handle.read(bytes, 0, bytes.length, start);
      if (bytesRead !== bytes.length) throw new Error(`has ${bytesRead} of ${bytes.length} bytes at ${start}`);
      return bytes.buffer;
    };
    return await use({
      byteLength: size,
      slice(start, end = size) {
        const bytes = read(start, end);
        // Asked for in advance, it may fail after the library has given up for another reason, and
        // nobody waits for it.
        bytes.catch(() => {});
        return bytes;
      },
    });
  } finally {
    await handle.close();
  }
}

type Element = FileMetaData['schema'][number];

const isFloat = (column: Element | undefined) =>
  column?.type === 'FLOAT' || column?.type === 'DOUBLE' || column?.logical_type?.type === 'FLOAT16';

/** The columns: the children of the schema's root. */
function topLevel({ schema }: FileMetaData): Element[] {
  const columns: Element[] = [];
  const skip = (at: number): number => {
    let next = at + 1;
    for (let child = 0; child < (schema[at]?.num_children ?? 0); child++) next = skip(next);
    return next;
  };
  for (let at = 1; at < schema.length; at = skip(at)) columns.push(schema[at]!);
  return columns;
}

type Features = Record<string, { _type?: string; names?: unknown; feature?: Features[string] } | undefined>;

/** What the `datasets` library writes beside the schema. */
function featuresOf({ key_value_metadata: entries = [] }: FileMetaData): Features {
  const text = entries.find(({ key }) => key === 'huggingface')?.value;
  if (text === undefined) return {};
  try {
    return (JSON.parse(text) as { info?: { features?: Features } }).info?.features ?? {};
  } catch {
    // Data of another program under this key: the file is none the worse for it.
    return {};
  }
}

/** Of a class, or a list of them. */
function classNamesOf(feature: Features[string]): readonly string[] | undefined {
  const { _type, names } = feature?.feature ?? feature ?? {};
  const known = _type === 'ClassLabel' && Array.isArray(names) && names.every((name) => typeof name === 'string');
  return known ? (names as string[]) : undefined;
}
