/**
 * Where lines of predictions go: standard output as fast as its reader takes them, or a file that
 * appears whole. What stands in a line is made in predict.ts.
 */
import { once } from 'node:events';
import { AtomicFile } from '../io/atomic';

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

function fileOutput(name: string): LineOutput {
  // Opened now: what is wrong with the place is told before anything is computed.
  const file = new AtomicFile(name);
  return {
    write: async (text) => file.write(Buffer.from(text)),
    finish: () => file.finish(),
    discard: () => file.discard(),
  };
}
