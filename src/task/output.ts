/** The folder that a run writes to, checked before anything is computed. */
import * as fs from 'node:fs';
import * as path from 'node:path';
import { FusedLoraError } from '../errors';
import { writeFileAtomic } from '../io/atomic';
import { listCheckpoints } from '../train/checkpoint';
import { EVENTS, REPORT } from './run_log';

/**
 * Makes the folder, sees that it can be written, and that checkpoints in it belong to this run.
 *
 * @throws FusedLoraError FILE_NOT_WRITABLE; INVALID_ARGUMENT when it holds checkpoints of a run that is neither gone on with
 * nor given up.
 */
export function prepareOutput(
  dir: string,
  options: { resume?: boolean | undefined; overwrite?: boolean | undefined },
): void {
  try {
    fs.mkdirSync(dir, { recursive: true });
  } catch (cause) {
    throw new FusedLoraError(
      'FILE_NOT_WRITABLE',
      `the output folder ${dir} can not be made (${(cause as Error).message}); choose another`,
      { cause },
    );
  }
  const probe = path.join(dir, '.write-test');
  writeFileAtomic(probe, '');
  fs.rmSync(probe);
  if (options.resume) return;
  const checkpoints = listCheckpoints(dir);
  if (checkpoints.length > 0 && !options.overwrite) {
    throw new FusedLoraError(
      'INVALID_ARGUMENT',
      `${dir} holds checkpoints of an earlier run (${checkpoints.map((c) => path.basename(c.path)).join(', ')}). Go on with it ` +
        '(--resume, resume: true), give it up (--overwrite, overwrite: true), or choose another folder.',
    );
  }
  for (const { path: old } of checkpoints) fs.rmSync(old, { recursive: true, force: true });
  for (const name of [EVENTS, REPORT]) fs.rmSync(path.join(dir, name), { force: true });
}
