/**
 * The figures of a command, as text or as JSON (`--json`).
 * Tables and units of the text are made in text.ts.
 */
import { printable, printableJson } from '../base/printable';
import { writeFileAtomic } from '../io/atomic';

/**
 * What a command found, on standard output: its text, or with `--json` the figures. `--json FILE`
 * writes them there, beside the text.
 *
 * @param text with its line ends.
 */
export function showFigures(json: string | true | undefined, figures: object, text: string): void {
  const content = `${printableJson(figures, 2)}\n`;
  if (typeof json === 'string') writeFileAtomic(json, content);
  process.stdout.write(json === true ? content : printable(text));
}
