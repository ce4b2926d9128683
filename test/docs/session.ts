/** A `console` block: commands behind `$ `, each with what it printed below it. */

export interface Step {
  command: string;
  expected: string[];
}

/** A command goes on over lines that end in a backslash. */
export function stepsOf(code: string): Step[] {
  const steps: Step[] = [];
  let open = false;
  for (const line of code.trimEnd().split('\n')) {
    const last = steps.at(-1);
    if (open && last) last.command += `\n${line}`;
    else if (line.startsWith('$ ')) steps.push({ command: line.slice(2), expected: [] });
    else if (last) last.expected.push(line);
    else throw new Error(`a console block must begin with "$ ", not with "${line}"`);
    open = (open || line.startsWith('$ ')) && line.endsWith('\\');
  }
  return steps;
}

const MARK = '--- docs-test: end of command';

/**
 * One script of all commands, so that variables and
 * background processes go on from one to the next.
 */
export function scriptOf(steps: readonly Step[]): string {
  return steps.map(({ command }) => `{ ${command}\n} 2>&1\necho "\n${MARK} $?"\n`).join('');
}

/** What each command printed, and its exit code. */
export function outputsOf(output: string): { output: string; code: number }[] {
  const parts = output.split(new RegExp(`\\n${MARK} (\\d+)\\n`));
  const found: { output: string; code: number }[] = [];
  for (let i = 0; i + 1 < parts.length; i += 2) found.push({ output: parts[i] as string, code: Number(parts[i + 1]) });
  return found;
}

/**
 * What another machine, or another run, may print in its
 * place: numbers, instruction sets, precision.
 */
export function masked(line: string): string {
  return line
    .replace(/\b(amx|avx512bf16|avx512vnni|avx512|avxvnni|avx2|portable)\b/g, 'ISA')
    .replace(/\b(bf16|fp32)\b/g, 'PRECISION')
    .replace(/\d[\d,]*(\.\d+)?(e[-+]?\d+)?/g, '#')
    .replace(/[\s│─┌┐└┘]+/g, ' ')
    .trim();
}

/**
 * Lines of a page that a run did not print; `…` stands for
 * lines that were left out, and ends a line that was cut.
 */
export function missingLines(expected: readonly string[], actual: string): string[] {
  const lines = actual.split('\n').map(masked);
  let at = 0;
  return expected.filter((line) => {
    const wanted = masked(line);
    if (wanted === '' || wanted === '…') return false;
    const cut = wanted.endsWith('…') ? wanted.slice(0, -1).trim() : undefined;
    const found = lines.findIndex((l, i) => i >= at && (cut === undefined ? l === wanted : l.startsWith(cut)));
    if (found >= 0) at = found + 1;
    return found < 0;
  });
}
