/**
 * How tests start the command line: dist/ where it is as new as the sources, which starts in half
 * the time, and the sources themselves elsewhere. Its files and outcomes: command.ts.
 */
import * as fs from 'node:fs';
import * as path from 'node:path';

const ROOT = path.join(__dirname, '..', '..');

function newestSource(folder: string): number {
  let newest = 0;
  for (const entry of fs.readdirSync(folder, { withFileTypes: true, recursive: true }))
    newest = Math.max(newest, fs.statSync(path.join(entry.parentPath, entry.name)).mtimeMs);
  return newest;
}

let known: readonly string[] | undefined;

/** What comes between Node and the arguments of the command. */
export function commandLine(): readonly string[] {
  if (known !== undefined) return known;
  const built = path.join(ROOT, 'dist', 'cli', 'main.js');
  const isNew = fs.existsSync(built) && fs.statSync(built).mtimeMs >= newestSource(path.join(ROOT, 'src'));
  known = isNew ? [built] : ['--require', 'tsx/cjs', path.join(ROOT, 'src', 'cli', 'main.ts')];
  return known;
}
