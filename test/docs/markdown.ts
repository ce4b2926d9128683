/**
 * Code blocks of a Markdown page, and what the comment
 * before a block tells the test (readers do not see it):
 *
 *     <!-- docs-test: file train.jsonc -->        the block becomes this file, for the next ones
 *     <!-- docs-test: setup                       TypeScript that goes before the block's own
 *     const rows = [];
 *     -->
 *     <!-- docs-test: exempt: the reason -->      the block is not run
 */
import * as fs from 'node:fs';
import * as path from 'node:path';

export const ROOT = path.join(__dirname, '..', '..');

export interface Block {
  page: string;
  /** Line of the first line of code, from 1. */
  line: number;
  /** What is behind the fence; sh for an indented block. */
  language: string;
  code: string;
  file: string | undefined;
  setup: string;
  /** Why the block is not run. */
  exempt: string | undefined;
}

/** README.md and the pages of docs/. */
export function pages(): string[] {
  const docs = fs.readdirSync(path.join(ROOT, 'docs')).filter((name) => name.endsWith('.md'));
  return ['README.md', ...docs.sort().map((name) => `docs/${name}`)];
}

const ANNOTATION = /<!--\s*docs-test:\s*(file|setup|exempt)\b:?\s*([\s\S]*?)\s*-->/g;

/** What the comments right before a block say; `lines` end where the block begins. */
function annotations(lines: readonly string[], page: string): Pick<Block, 'file' | 'setup' | 'exempt'> {
  let from = lines.length;
  let comment = false;
  while (from > 0) {
    const line = (lines[from - 1] as string).trim();
    if (line.endsWith('-->')) comment = true;
    if (!comment && line !== '') break;
    if (line.startsWith('<!--')) comment = false;
    from -= 1;
  }
  const text = lines.slice(from).join('\n');
  const found: Record<string, string> = {};
  for (const [, name = '', value = ''] of text.matchAll(ANNOTATION)) found[name] = value;
  const known = [...text.matchAll(ANNOTATION)].length;
  if (known !== text.split('docs-test:').length - 1) {
    throw new Error(`${page}:${from + 1}: a docs-test comment that is neither file, setup nor exempt`);
  }
  if (found['exempt'] === '') throw new Error(`${page}:${from + 1}: an exempt block must say why`);
  return { file: found['file'], setup: found['setup'] ?? '', exempt: found['exempt'] };
}

/**
 * The blocks of a page in order: fenced ones, and those that
 * are indented by four blanks after an empty line.
 */
export function blocksOf(page: string, text = fs.readFileSync(path.join(ROOT, page), 'utf8')): Block[] {
  const lines = text.split('\n');
  const blocks: Block[] = [];
  const add = (first: number, end: number, begin: number, language: string, indent: number) => {
    const code = lines.slice(first, end).map((line) => line.slice(Math.min(indent, line.search(/\S|$/))));
    blocks.push({
      page,
      line: first + 1,
      language,
      code: `${code.join('\n').trimEnd()}\n`,
      ...annotations(lines.slice(0, begin), page),
    });
  };
  for (let i = 0; i < lines.length; i++) {
    const fence = /^( *)(```+|~~~+)\s*(\S*)/.exec(lines[i] as string);
    if (fence) {
      const [, indent = '', marks = '', language = ''] = fence;
      const end = lines.findIndex((line, at) => at > i && line.trim() === marks);
      if (end < 0) throw new Error(`${page}:${i + 1}: a block without an end`);
      add(i + 1, end, i, language, indent.length);
      i = end;
    } else if (/^ {4}\S/.test(lines[i] as string) && (lines[i - 1] ?? '').trim() === '' && !inList(lines, i)) {
      let end = i + 1;
      while (end < lines.length && /^( {4}|\s*$)/.test(lines[end] as string)) end += 1;
      add(i, end, i, 'sh', 4);
      i = end - 1;
    }
  }
  return blocks;
}

/** Whether an indented line goes on with an item of a list. */
function inList(lines: readonly string[], at: number): boolean {
  let i = at - 1;
  while (i >= 0 && /^(\s|$)/.test(lines[i] as string)) i -= 1;
  return i >= 0 && /^([-*]|\d+\.) /.test(lines[i] as string);
}
