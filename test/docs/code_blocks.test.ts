/**
 * Every code block of README.md and docs/ runs, in the order of its page and in one folder a page,
 * as a reader would: shell blocks by bash, with the built command line; programs by Node, after a
 * type check; sessions are compared with what they print. A block that nothing runs is an error,
 * unless the page says why (see markdown.ts).
 */
import { spawnSync } from 'node:child_process';
import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';
import { type ParseError, parse } from 'jsonc-parser';
import { type Block, blocksOf, pages, ROOT } from './markdown';
import { isProgram, sourceOf, toJavaScript, typeErrors } from './programs';
import { makeTemplate, type Ran, run } from './sandbox';
import { masked, missingLines, outputsOf, scriptOf, stepsOf } from './session';

const MINUTES = 60_000;
/** Of one block. */
const TIMEOUT = 10 * MINUTES;

let work: string;
let template: string;
let errors: Map<Block, string[]>;

const PAGES = pages().map((page): [string, Block[]] => [page, blocksOf(page)]);
const ALL = PAGES.flatMap(([, blocks]) => blocks);

function fine({ code, output }: Ran): void {
  if (code !== 0) throw new Error(`ended with exit code ${code}:\n${output}`);
}

/** Commands whose sample says that they fail must fail, the others must not. */
async function runSession(block: Block, home: string): Promise<void> {
  const steps = stepsOf(block.code);
  const ran = await run(template, home, 'bash', ['-c', scriptOf(steps)]);
  const outputs = outputsOf(ran.output);
  if (outputs.length !== steps.length) throw new Error(`the session ended early:\n${ran.output}`);
  steps.forEach(({ command, expected }, i) => {
    const { output, code } = outputs[i] as { output: string; code: number };
    const fails = expected.some((line) => /^error( \[|:)/.test(line));
    if (fails !== (code !== 0)) throw new Error(`$ ${command}\nended with exit code ${code}:\n${output}`);
    const missing = missingLines(expected, output);
    if (missing.length > 0) throw new Error(`$ ${command}\ndid not print\n${missing.join('\n')}\nbut\n${output}`);
  });
}

async function runProgram(block: Block, home: string): Promise<void> {
  expect(errors.get(block) ?? []).toEqual([]);
  if (block.file !== undefined) return;
  const file = path.join(home, `block-${block.line}.mjs`);
  fs.writeFileSync(file, toJavaScript(block));
  fine(await run(template, home, process.execPath, [file]));
}

/** Syntax alone, where there is a Python. */
function checkPython({ code }: Block): void {
  const script = 'import ast, sys; ast.parse(sys.stdin.read())';
  const { error, status, stderr } = spawnSync('python3', ['-c', script], { input: code, encoding: 'utf8' });
  if (!error && status !== 0) throw new Error(stderr);
}

async function runBlock(block: Block, home: string): Promise<void> {
  const { language, code, file } = block;
  if (file !== undefined) {
    fs.mkdirSync(path.dirname(path.join(home, file)), { recursive: true });
    fs.writeFileSync(path.join(home, file), isProgram(block) ? sourceOf(block) : code);
  }
  if (language === 'python') checkPython(block);
  if (block.exempt !== undefined) return;
  if (isProgram(block)) await runProgram(block, home);
  else if (language === 'sh') fine(await run(template, home, 'bash', ['-e', '-o', 'pipefail', '-c', code]));
  else if (language === 'console') await runSession(block, home);
  else if (/^jsonc?$/.test(language)) {
    const problems: ParseError[] = [];
    parse(code, problems, { disallowComments: language === 'json' });
    expect(problems).toEqual([]);
  } else if (file === undefined) {
    throw new Error(`nothing runs a block in "${language}"; make it sh, console, ts, js or json, or say why not`);
  }
}

const ready = ['build/Release/fused-lora.node', 'dist/index.js'].every((file) => fs.existsSync(path.join(ROOT, file)));
if (!ready) console.warn('skipped: the blocks of docs/ need the addon and dist/ (npm test builds both)');

(ready ? describe : describe.skip)('code blocks', () => {
  beforeAll(async () => {
    work = fs.mkdtempSync(path.join(os.tmpdir(), 'docs-'));
    template = path.join(work, 'template');
    await makeTemplate(template);
    // A clone beside the reader's project.
    fs.symlinkSync(ROOT, path.join(work, 'fused-lora'));
    errors = await typeErrors(ALL.filter(isProgram), path.join(work, 'types'));
  }, 2 * TIMEOUT);
  afterAll(() => fs.rmSync(work, { recursive: true, force: true }));

  describe.each(PAGES.filter(([, blocks]) => blocks.length > 0))('%s', (page, blocks) => {
    let home: string;
    let failed = false;
    beforeAll(() => {
      home = path.join(work, page.replace(/\W/g, '-'));
      fs.cpSync(path.join(template, 'home'), home, { recursive: true, verbatimSymlinks: true });
    });
    test.each(blocks.map((block): [number, string, Block] => [block.line, block.language, block]))(
      'line %i (%s)',
      async (_line, _language, block) => {
        if (failed) throw new Error('an earlier block of the page failed, and later ones may need it');
        failed = true;
        await runBlock(block, home);
        failed = false;
      },
      TIMEOUT,
    );
  });
});

describe('the rules of the pages', () => {
  test('a block that nothing runs, or an exemption without a reason, is an error', async () => {
    const [block] = blocksOf('page.md', '```cobol\nSTOP RUN.\n```\n') as [Block];
    await expect(runBlock(block, os.tmpdir())).rejects.toThrow('nothing runs a block in "cobol"');
    const bare = '<!-- docs-test: exempt -->\n```sh\nexit 1\n```\n';
    expect(() => blocksOf('page.md', bare)).toThrow('must say why');
    expect(() => blocksOf('page.md', bare.replace('exempt', 'skip'))).toThrow('neither file, setup nor exempt');
  });

  test('blocks are found with their comments, indented ones too, items of lists not', () => {
    const text = 'a\n\n    npm test\n\n- b\n\n    c\n\n<!-- docs-test: file x.json -->\n\n```json\n{}\n```\n';
    expect(blocksOf('page.md', text).map(({ line, language, file }) => [line, language, file])).toEqual([
      [3, 'sh', undefined],
      [12, 'json', 'x.json'],
    ]);
  });

  test('samples are compared without what differs from run to run', () => {
    expect(masked('accuracy 0.9375, 1,234 samples/s  (avx2)')).toBe('accuracy #, # samples/s (ISA)');
    expect(missingLines(['a 1', '…', 'b'], 'a 2\nx\nb\n')).toEqual([]);
    expect(missingLines(['b', 'a 1'], 'a 2\nx\nb\n')).toEqual(['a 1']);
    expect(stepsOf('$ one \\\n  two\nout\n$ three\n').map(({ command }) => command)).toEqual([
      'one \\\n  two',
      'three',
    ]);
  });

  test('every page of docs/ is reached from README.md or another page', () => {
    const text = pages().map((page) => fs.readFileSync(path.join(ROOT, page), 'utf8'));
    for (const page of pages().slice(1)) {
      const name = path.basename(page);
      expect([page, text.some((other) => other.includes(`${name})`) || other.includes(`${name}#`))]).toEqual([
        page,
        true,
      ]);
    }
  });

  test('links of the pages lead to files and headings that are there', () => {
    const slug = (heading: string) =>
      heading
        .toLowerCase()
        .replace(/[^\w\- ]/g, '')
        .replaceAll(' ', '-');
    for (const page of pages()) {
      const text = fs.readFileSync(path.join(ROOT, page), 'utf8').replace(/^```[\s\S]*?^```/gm, '');
      for (const [, target = ''] of text.matchAll(/\]\((?!https?:)([^)\s]+)\)/g)) {
        const [file = '', anchor] = target.split('#');
        const at = file === '' ? path.join(ROOT, page) : path.join(ROOT, path.dirname(page), file);
        expect([page, target, fs.existsSync(at)]).toEqual([page, target, true]);
        if (anchor === undefined) continue;
        const headings = [...fs.readFileSync(at, 'utf8').matchAll(/^#+ (.*)$/gm)].map(([, heading = '']) =>
          slug(heading),
        );
        expect([page, target, headings.includes(anchor)]).toEqual([page, target, true]);
      }
    }
  });
});
