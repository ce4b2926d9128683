/**
 * The cache of downloads, in the layout of Python's huggingface_hub, which reads and writes the
 * same folder: `models--owner--name/refs/<revision>` holds a commit; `snapshots/<commit>/<path>` is
 * a link to `blobs/<etag>`, the content.
 * Files get there by download.ts.
 */
import * as fs from 'node:fs';
import * as path from 'node:path';
import { FusedLoraError } from '../../base/errors';
import { writeFileAtomic } from '../atomic';
import { makeFolder } from '../folders';
import { readWhole } from '../open';
import type { Repository } from './ids';

export const isCommit = (revision: string) => /^[0-9a-f]{40}$/.test(revision);

export function repositoryFolder(cacheDir: string, { type, name }: Repository): string {
  return path.join(cacheDir, [`${type}s`, ...name.split('/')].join('--'));
}

export function snapshotFolder(folder: string, commit: string): string {
  return path.join(folder, 'snapshots', commit);
}

/**
 * Where a file of a repository lies below a folder; a name from outside must not lead elsewhere.
 */
export function insideOf(folder: string, name: string): string {
  const target = path.join(folder, name);
  if (target !== folder && path.relative(folder, target).split(path.sep)[0] !== '..' && !path.isAbsolute(name))
    return target;
  throw new FusedLoraError(
    'DOWNLOAD_FAILED',
    `the hub names a file ${JSON.stringify(name)}, which would lie outside its repository`,
  );
}

/** The commit that a revision was when it was last looked up. */
export function cachedCommit(folder: string, revision: string): string | undefined {
  if (isCommit(revision)) return revision;
  try {
    const commit = readWhole(insideOf(path.join(folder, 'refs'), revision), { maxBytes: 1000 })
      .toString('utf8')
      .trim();
    return isCommit(commit) ? commit : undefined;
  } catch {
    return undefined;
  }
}

export function rememberCommit(folder: string, revision: string, commit: string): void {
  if (revision === commit || cachedCommit(folder, revision) === commit) return;
  const file = insideOf(path.join(folder, 'refs'), revision);
  makeFolder(path.dirname(file));
  writeFileAtomic(file, commit, { own: true });
}

/** Files of a snapshot, by path below it; links whose content is gone are left out. */
export function cachedFiles(snapshot: string): string[] {
  if (!fs.existsSync(snapshot)) return [];
  return fs
    .readdirSync(snapshot, { recursive: true, encoding: 'utf8' })
    .filter((name) => fs.statSync(path.join(snapshot, name), { throwIfNoEntry: false })?.isFile())
    .map((name) => name.split(path.sep).join('/'));
}

/** Links a snapshot's file to its content, or copies it where there are no links. */
export function linkBlob(blob: string, pointer: string): void {
  makeFolder(path.dirname(pointer));
  // A link to content that is gone stands in the way.
  if (fs.lstatSync(pointer, { throwIfNoEntry: false }) && !fs.existsSync(pointer)) fs.rmSync(pointer);
  try {
    fs.symlinkSync(path.relative(path.dirname(pointer), blob), pointer);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') fs.copyFileSync(blob, pointer, fs.constants.COPYFILE_EXCL);
  }
}
