import { writeFileAtomic } from '../io/atomic';

/** Writes the figures of a command where `--json` asks for them. */
export function writeFigures(file: string | undefined, figures: object): void {
  if (file !== undefined) writeFileAtomic(file, `${JSON.stringify(figures, null, 2)}\n`);
}
