import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';

const script = resolve(__dirname, '../../scripts/lint-words.mjs');
let folder: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'lint-words-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

/** Lints a tree of the given files; `args` as on the command line. */
function lint(files: Record<string, string>, ...args: string[]): { status: number | null; output: string } {
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, path)), { recursive: true });
    writeFileSync(join(folder, path), text);
  }
  const { status, stderr } = spawnSync(process.execPath, [script, '--root', folder, ...args], { encoding: 'utf8' });
  return { status, output: stderr };
}

const long = 'word '.repeat(25).trim();
const READER = '/**\n * Rows of a table become token ids here.\n * Files are opened in src/data/open.ts.\n */\n';
const OPENER = '// Opens folders of shards and gzipped tables.\n// The rows are cut by src/data/reader.ts.\n';

test('heads that say what and where, narrow comments and narrow prose pass', () => {
  const { status, output } = lint({
    'src/data/reader.ts': `${READER}const url = 1; // short\nexport const text = '${long} // ${long}';\n`,
    'src/data/open.ts': OPENER,
    'native/gemm/pack.cc': `// Panels of a weight, packed once for each model.\n// Tiles that read them: native/gemm/.\n#include <vector>\n`,
    'scripts/make.py':
      '#!/usr/bin/env python3\n"""Writes the fixtures of the tokenizer.\n\nRead by src/data/.\n"""\nx = 1\n',
    'scripts/go.sh': '#!/bin/sh\n# Carries a checkout to another machine.\n# Stages are listed in scripts/make.py.\n',
    'README.md': [
      `# ${long}`,
      'Short prose.',
      `| ${long} | x |`,
      '```ts',
      `const a = '${long}';`,
      '```',
      '',
      `    npm run x -- ${long}`,
      '',
      `[short](https://example.org/${'x'.repeat(120)}) text`,
      `<!-- ${long} -->`,
      '',
    ].join('\n'),
    'test/fixtures/a.ts': `// ${long}\n`,
    'node_modules/a/index.js': `// ${long}\n`,
  });
  expect(output).toBe('');
  expect(status).toBe(0);
});

test.each([
  ['a file that opens with code', 'src/data/rows.ts', 'export const a = 1;\n', ':1: opens without a comment'],
  [
    'a head of one line',
    'src/data/rows.ts',
    '/** Cuts pairs of texts, see src/data/open.ts. */\n',
    ':1: its head has one line',
  ],
  [
    'a head that points nowhere',
    'src/data/rows.ts',
    '// Cuts pairs of texts.\n// The rest is elsewhere and/or gone.\n',
    'names no other file',
  ],
  [
    'a head that points to what is gone',
    'src/data/rows.ts',
    '// Cuts pairs.\n// More: src/data/gone.ts.\n',
    'names no other file',
  ],
  [
    'a head that points to itself',
    'src/data/rows.ts',
    '// Cuts pairs of texts.\n// More: src/data/rows.ts.\n',
    'names no other file',
  ],
  [
    'a head that restates the name',
    'src/data/rows.ts',
    '// The rows of the data.\n// See src/data/open.ts.\n',
    'only restates its name',
  ],
  ['a head like another', 'src/data/rows.ts', `${OPENER}\n`, ':1: its head begins as that of src/data/open.ts'],
  ['a comment that is too wide', 'src/data/open.ts', `${OPENER}\n  // ${long}\n`, ':4: a comment of 129 columns'],
  ['a block that is too wide', 'src/data/open.ts', `${OPENER}/**\n * ${long}\n */\n`, ':4: a comment of 127 columns'],
  ['a comment after code', 'src/data/open.ts', `${OPENER}const a = "b"; // ${long}\n`, ':3: a comment of 142 columns'],
  [
    'a comment of a script',
    'scripts/a.py',
    `# Makes fixtures for\n# src/data/open.ts.\n# ${long}\n`,
    ':3: a comment of 126 columns',
  ],
  ['a comment in a test', 'test/a.ts', `// ${long}\n`, 'test/a.ts:1: a comment of 127 columns'],
  ['prose that is too wide', 'docs/a.md', `- item\n  ${long}\n`, 'docs/a.md:2: prose of 126 columns'],
  ['prose after code', 'docs/a.md', `\`\`\`\n${long}\n\`\`\`\n${long}\n`, 'docs/a.md:4: prose of 124 columns'],
  ['prose with a link', 'docs/a.md', `${long} [a](b.md)\n`, 'docs/a.md:1: prose of 128 columns'],
])('%s is told', (_, path, text, message) => {
  const { status, output } = lint({ 'src/data/open.ts': OPENER, 'src/data/reader.ts': READER, [path]: text });
  expect(output).toContain(message);
  expect(status).toBe(message === '' ? 0 : 1);
});

test('heads that differ by the names of their files alone are alike', () => {
  const { output } = lint({
    'src/data/open.ts': OPENER,
    'src/ops/add.ts': '// The contract of add and its gradient.\n// See src/data/open.ts.\n',
    'src/ops/mul.ts': '// The contract of mul and its gradient.\n// See src/data/open.ts.\n',
  });
  expect(output).toContain('src/ops/mul.ts:1: its head begins as that of src/ops/add.ts');
});

test('twenty offences are listed, all of them with --all, those of a path with its name', () => {
  const files = Object.fromEntries(Array.from({ length: 25 }, (_, at) => [`src/data/f${at}.ts`, 'export {};\n']));
  const few = lint({ ...files, 'docs/a.md': `${long}\n` });
  expect(few.output.split('\n').filter((line) => /:\d+: /.test(line))).toHaveLength(20);
  expect(few.output).toContain('… and 6 more (--all lists them)');
  expect(few.output).toContain('26 offence(s) in 26 file(s)');
  expect(
    lint({}, '--all')
      .output.split('\n')
      .filter((line) => /:\d+: /.test(line)),
  ).toHaveLength(26);
  expect(lint({}, 'docs/').output).toContain('1 offence(s) in 1 file(s)');
  expect(lint({}, 'native').status).toBe(0);
});
