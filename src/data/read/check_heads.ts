/**
 * A look at the beginning of each data file, so that a column that is not there is told before much
 * is read. The files themselves are read by read_examples.ts and, of sentences in words, by the
 * reader of tokens.
 */
import { isHubUrl } from '../../io/hub';
import type { ColumnOptions } from './columns';
import { type DataFiles, resolveFiles } from './files';
import { checkTextHead, readOnce } from './read_examples';
import { readTokenPieces } from './read_token_examples';

/**
 * @param words whether they hold sentences in words.
 * @throws FusedLoraError INVALID_DATA naming file and column; what finding files throws. Files of
 * the hub are not looked at: they come when they are read.
 */
export async function checkHeads(files: DataFiles, words: boolean, options: ColumnOptions): Promise<void> {
  const here = (typeof files === 'string' ? [files] : files).filter((file) => !isHubUrl(file));
  if (here.length === 0) return;
  for (const file of await resolveFiles(here, words)) {
    await (words ? readOnce(readTokenPieces(file, options, true)) : checkTextHead(file, options));
  }
}
