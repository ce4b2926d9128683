/**
 * Content stamps: a build step runs again only when what it reads, or what it wrote, has changed.
 * The steps: setup.mjs and cmake-build.mjs. Also the listing of files that lints walk over.
 */
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { root } from './shell.mjs';

/**
 * All files under the given files and folders (relative to
 * the root), sorted; node_modules, and what does not exist, is left out.
 */
export function listFiles(paths, base = root) {
  const files = [];
  const visit = (path) => {
    if (!existsSync(path)) return;
    if (statSync(path).isDirectory()) {
      for (const name of readdirSync(path).sort()) if (name !== 'node_modules') visit(join(path, name));
    } else {
      files.push(path);
    }
  };
  for (const path of paths) visit(join(base, path));
  return files;
}

/** SHA-256 over the names and contents of the inputs and the given settings. */
export function contentHash(paths, settings = []) {
  const hash = createHash('sha256');
  for (const file of listFiles(paths))
    hash
      .update(`${relative(root, file)}\0`)
      .update(readFileSync(file))
      .update('\0');
  for (const setting of settings) hash.update(`${setting}\0`);
  return hash.digest('hex');
}

/** An output's identity: a file that another program replaced is no longer ours. */
function fingerprint(outputs) {
  return outputs.map((output) => {
    const path = join(root, output);
    if (!existsSync(path)) return null;
    const { size, mtimeMs } = statSync(path);
    return `${size}:${mtimeMs}`;
  });
}

/** Whether the stamp says that `outputs` were made from inputs of this hash. */
export function isFresh(stampFile, hash, outputs) {
  try {
    const stamp = JSON.parse(readFileSync(join(root, stampFile), 'utf8'));
    const now = fingerprint(outputs);
    return (
      stamp.hash === hash &&
      now.every((print) => print !== null) &&
      JSON.stringify(now) === JSON.stringify(stamp.outputs)
    );
  } catch {
    return false;
  }
}

/** Records that `outputs` were made from inputs of this hash. */
export function writeStamp(stampFile, hash, outputs) {
  mkdirSync(dirname(join(root, stampFile)), { recursive: true });
  writeFileSync(join(root, stampFile), `${JSON.stringify({ hash, outputs: fingerprint(outputs) })}\n`);
}
