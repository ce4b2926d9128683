/**
 * The bytes of a file, unzipped where it is gzip, piece by piece.
 * They become text in text_lines.ts; Parquet reads them at random places (parquet.ts).
 */
import type * as fs from 'node:fs';
import { createGunzip } from 'node:zlib';
import { FusedLoraError } from '../../base/errors';
import { openHandle } from '../../io/open';
import type { DataFile } from './files';

export function invalidData(place: string, problem: string, cause?: unknown): FusedLoraError {
  return new FusedLoraError('INVALID_DATA', `${place}: ${problem}`, { cause });
}

/** @throws FusedLoraError FILE_NOT_FOUND. */
export async function openFile({ path, name }: Pick<DataFile, 'path' | 'name'>): Promise<fs.promises.FileHandle> {
  return openHandle(path, { name });
}

/** Whether the file begins as gzip does; its name may say otherwise. */
async function isGzip(handle: fs.promises.FileHandle): Promise<boolean> {
  const { bytesRead, buffer } = await handle.read(Buffer.alloc(2), 0, 2, 0);
  return bytesRead === 2 && buffer[0] === 0x1f && buffer[1] === 0x8b;
}

/**
 * @throws FusedLoraError FILE_NOT_FOUND; INVALID_DATA for a file without a byte, and for gzip data
 * that are damaged or end too early, after what could be unzipped.
 */
export async function* readBytes(file: Pick<DataFile, 'path' | 'name'>): AsyncGenerator<Buffer> {
  const handle = await openFile(file);
  const zipped = await isGzip(handle).catch(async (cause: Error) => {
    await handle.close();
    throw invalidData(file.name, `can not be read (${cause.message})`, cause);
  });
  const raw = handle.createReadStream({ start: 0, highWaterMark: 1 << 18 });
  const stream = zipped ? raw.pipe(createGunzip({ chunkSize: 1 << 18 })) : raw;
  raw.on('error', (error) => stream.destroy(error));
  let bytes = 0;
  try {
    for await (const chunk of stream as AsyncIterable<Buffer>) {
      bytes += chunk.length;
      yield chunk;
    }
  } catch (cause) {
    if (cause instanceof FusedLoraError) throw cause;
    const { code, message } = cause as NodeJS.ErrnoException;
    throw invalidData(
      file.name,
      code === 'Z_BUF_ERROR'
        ? `its gzip data end too early, after ${bytes} bytes of text: the file is cut off; copy it again`
        : `is damaged (${message}) after ${bytes} bytes; copy it again`,
      cause,
    );
  } finally {
    // A consumer that stops early leaves both open.
    stream.destroy();
    raw.destroy();
  }
  if (bytes === 0) throw invalidData(file.name, 'is empty; give a file with at least one row');
}
