/**
 * Plain text for pretraining: one document a line, also gzipped.
 * It is cut to pieces and masked in src/data/batch/masked_source.ts.
 */
import * as fs from 'node:fs';
import * as readline from 'node:readline';
import { createGunzip } from 'node:zlib';
import { FusedLoraError } from '../../base/errors';
import { openToRead } from '../../io/open';

/**
 * The lines of text files (.txt, or .gz of one), blank ones left out, streamed.
 *
 * @throws FusedLoraError FILE_NOT_FOUND; INVALID_DATA for a damaged gzip file.
 */
export async function* readDocuments(files: readonly string[]): AsyncGenerator<string> {
  for (const file of files) {
    const bytes = fs.createReadStream(file, { fd: openToRead(file) });
    const unzipped = file.endsWith('.gz') ? bytes.pipe(createGunzip()) : bytes;
    let damage: Error | undefined;
    const lines = readline.createInterface({ input: unzipped, crlfDelay: Number.POSITIVE_INFINITY });
    for (const stream of new Set([bytes, unzipped])) {
      stream.on('error', (error: Error) => {
        damage = error;
        lines.close();
      });
    }
    for await (const line of lines) if (line.trim() !== '') yield line;
    if (damage) {
      throw new FusedLoraError('INVALID_DATA', `${file}: is damaged (${damage.message}); copy it again`, {
        cause: damage,
      });
    }
  }
}
