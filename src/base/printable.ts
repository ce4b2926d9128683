/**
 * Text from files as it may reach a terminal or a log: control characters as escapes, lengths cut.
 * Who calls it: errors.ts for every message, src/cli for every line. Values in errors: shown.ts.
 */

/** Characters of a line: more than this library writes by itself. */
const MOST_CHARACTERS = 2000;

/**
 * What a terminal obeys in place of showing it: C0 but tab and line feed, DEL, C1, and controls of
 * writing direction, by which a text can look like another; separators of lines and paragraphs too.
 */
// biome-ignore lint/suspicious/noControlCharactersInRegex: these are what it is about.
const CONTROLS = /[\0-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/g;

function escaped(character: string): string {
  const code = character.charCodeAt(0);
  if (character === '\r') return '\\r';
  return code < 0x100 ? `\\x${code.toString(16).padStart(2, '0')}` : `\\u${code.toString(16).padStart(4, '0')}`;
}

/** Without the middle where it is too long: messages say at their end what to do. */
function cutLine(line: string, most: number): string {
  if (line.length <= most) return line;
  const end = Math.floor(most / 4);
  return `${line.slice(0, most - end)} … (${line.length - most} characters left out) … ${line.slice(-end)}`;
}

/**
 * A text for people, of one line or several: controls as `\x1b` or `\u202e`, and the middle left
 * out of what is too long.
 *
 * @param most characters of a line.
 */
export function printable(text: string, most = MOST_CHARACTERS): string {
  const lines = text.length > most ? text.split('\n').map((line) => cutLine(line, most)) : [text];
  return lines.join('\n').replace(CONTROLS, escaped);
}

/** {@link printable} for a name or value inside a line: line feeds and tabs are escaped too. */
export function printableName(text: string, most = 200): string {
  const cut = text.length <= most ? text : `${text.slice(0, most)}…`;
  return cut.replace(CONTROLS, escaped).replaceAll('\n', '\\n').replaceAll('\t', '\\t');
}

/**
 * JSON with no raw control in it: JSON itself escapes C0 alone. The value that it stands for is the
 * same.
 */
export function printableJson(value: unknown, indent?: number): string {
  return JSON.stringify(value, null, indent)?.replace(
    CONTROLS,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}
