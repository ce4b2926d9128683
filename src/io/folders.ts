/**
 * Makes folders without the endless loop that Node's `recursive` can run into.
 * Files are written into them by atomic.ts.
 */
import * as fs from 'node:fs';
import * as path from 'node:path';

/**
 * Makes a folder and those above it that are missing. Node's `recursive` never returns where a
 * folder is there and yet takes none in (/proc, or one that was removed while it was open): the
 * system says "no such folder" of the new one, and Node goes on making the old one.
 *
 * @throws what the system says: EACCES, EROFS, ENOENT, ENOTDIR, EEXIST for a file of that name.
 */
export function makeFolder(folder: string): void {
  const missing: string[] = [];
  let present = path.resolve(folder);
  while (!fs.existsSync(present)) {
    missing.push(present);
    const above = path.dirname(present);
    // A drive of Windows that is not there, which has nothing above it: the system refuses it.
    if (above === present) break;
    present = above;
  }
  for (const one of missing.reverse()) makeOne(one);
  if (missing.length === 0 && !fs.statSync(folder).isDirectory()) {
    throw Object.assign(new Error(`EEXIST: ${folder} is a file`), { code: 'EEXIST' });
  }
}

function makeOne(folder: string): void {
  try {
    fs.mkdirSync(folder);
  } catch (error) {
    // Another process may have made it meanwhile.
    if (!fs.statSync(folder, { throwIfNoEntry: false })?.isDirectory()) throw error;
  }
}
