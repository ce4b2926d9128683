/**
 * Where lines of predictions go: standard output as fast as its reader takes them, or a file that
 * appears whole. What stands in a line is made in predict.ts.
 */
import { once } from 'node:events';
import * as fs from 'node:fs';
import * as path from 'node:path';
import { FusedLoraError } from '../base/errors';
import { writeFileAtomic } from '../io/atomic';

export interface LineOutput {
  write(text: string): Promise<void>;
  /** After the last line. */
  finish(): void;
  /** After an error: nothing is left behind. */
  discard(): void;
}

/** @param file default: standard output. */
export function openOutput(file: string | undefined): LineOutput {
  return file === undefined ? standardOutput() : fileOutput(file);
}

function standardOutput(): LineOutput {
  return {
    async write(text) {
      // A reader that is slower than the model makes it wait, so that lines do not pile up here.
      if (!process.stdout.write(text)) await once(process.stdout, 'drain');
    },
    finish() {},
    discard() {},
  };
}

function fileOutput(file: string): LineOutput {
  const existing = fs.statSync(file, { throwIfNoEntry: false });
  // A pipe or device is written as it comes.
  if (existing && !existing.isFile() && !existing.isDirectory()) {
    const fd = fs.openSync(file, 'w');
    const close = () => fs.closeSync(fd);
    return { write: async (text) => void fs.writeSync(fd, text), finish: close, discard: close };
  }
  // Tells what is wrong with the place before anything is computed: a missing folder, no
  // permission, a folder of that name.
  if (!existing) {
    writeFileAtomic(file, '');
    fs.rmSync(file);
  } else if (existing.isDirectory()) writeFileAtomic(file, '');
  const target = existing ? fs.realpathSync(file) : path.resolve(file);
  const temporary = path.join(path.dirname(target), `.${path.basename(target)}.tmp-${process.pid}`);
  const fd = fs.openSync(temporary, 'w');
  const guarded = <T>(work: () => T): T => {
    try {
      return work();
    } catch (cause) {
      throw new FusedLoraError('FILE_NOT_WRITABLE', `${file}: can not be written (${(cause as Error).message})`, {
        cause,
      });
    }
  };
  let open = true;
  const close = () => {
    if (open) fs.closeSync(fd);
    open = false;
  };
  return {
    write: async (text) => void guarded(() => fs.writeFileSync(fd, text)),
    finish: () =>
      guarded(() => {
        fs.fsyncSync(fd);
        close();
        fs.renameSync(temporary, target);
      }),
    discard() {
      close();
      fs.rmSync(temporary, { force: true });
    },
  };
}
