/**
 * Checks the words around the code: heads of source files, width of comments, width of prose.
 * Who may import whom is checked by lint-directions.mjs; run-tests.mjs calls both.
 *
 * A head is the comment that a source file opens with: what belongs here, and where the rest is.
 * It has two lines or more, names one other file or folder that exists, and is like no other head.
 *
 * Usage: node scripts/lint-words.mjs [--all] [--root FOLDER] [PATH …]
 *   PATH    report only on files below these, such as src/graph or docs/cli.md
 *   --all   list every offence; without it the first 20
 */
import { readFileSync } from 'node:fs';
import { basename, join, relative, resolve, sep } from 'node:path';
import { parseArgs } from 'node:util';
import { root as packageRoot } from './lib/shell.mjs';
import { listFiles } from './lib/stamp.mjs';

const { values: options, positionals } = parseArgs({
  options: { all: { type: 'boolean' }, root: { type: 'string', default: packageRoot } },
  allowPositionals: true,
});
const root = resolve(options.root);

const WIDTH = 100;
const SHOWN = 20;
const HEADS = ['src', 'native', 'scripts', 'benchmarks', 'examples'];
const COMMENTS = [...HEADS, 'test', 'findings', 'cmake', 'CMakeLists.txt', 'jest.config.cjs'];
const PROSE = ['README.md', 'CHANGELOG.md', 'docs', 'benchmarks', 'findings'];

const SLASHES = /\.(ts|mts|cts|mjs|cjs|js|css|cc|c|h|cu|cuh|inc|def)$/;
const HASHES = /\.(py|sh|cmake)$|CMakeLists\.txt$/;
/** What is not ours to word: installed packages, build outputs, files that tests read. */
const FOREIGN = /(^|\/)(node_modules|build|dist|fixtures|__pycache__|\.venv)\//;

const problems = [];

function report(path, line, message) {
  problems.push({ path, line, message });
}

/** Paths below the root, with forward slashes. */
function filesIn(folders, pattern) {
  return listFiles(folders, root)
    .map((file) => relative(root, file).split(sep).join('/'))
    .filter((path) => pattern.test(path) && !FOREIGN.test(path));
}

function linesOf(path) {
  return readFileSync(join(root, path), 'utf8').split(/\r?\n/);
}

/** Columns that a reader sees: addresses and targets of links are not read. */
function columns(line) {
  const seen = line.replace(/\]\([^)]*\)/g, ']').replace(/https?:\/\/\S+/g, '');
  return [...seen].length;
}

// Heads

/** The comment that a file opens with, as lines without marks; empty where it opens with code. */
function headOf(path, lines) {
  const start = lines[0]?.startsWith('#!') ? 1 : 0;
  const head = [];
  if (HASHES.test(path)) {
    if (/^[rR]?"""/.test(lines[start])) {
      for (let at = start; at < lines.length; at += 1) {
        head.push(lines[at].replace(/^[rR]?"""/, '').replace(/"""\s*$/, ''));
        if (/"""\s*$/.test(at === start ? lines[at].replace(/^[rR]?"""/, '') : lines[at])) break;
      }
    } else {
      for (let at = start; lines[at]?.startsWith('#'); at += 1) head.push(lines[at].replace(/^#+ ?/, ''));
    }
  } else if (lines[start]?.startsWith('/*')) {
    for (let at = start; at < lines.length; at += 1) {
      head.push(lines[at].replace(/^\s*(\/\*+|\*(?!\/))/, '').replace(/\*\/.*$/, ''));
      if (lines[at].includes('*/')) break;
    }
  } else {
    for (let at = start; lines[at]?.startsWith('//'); at += 1) head.push(lines[at].replace(/^\/+/, ''));
  }
  return head.map((line) => line.trim()).filter((line) => line !== '');
}

/** "softmaxRows" → softmax, row: words of two letters or more, without the s of a plural. */
function wordsOf(text) {
  const parts = text.replace(/([a-z0-9])([A-Z])/g, '$1 $2').toLowerCase();
  return (parts.match(/[a-z0-9]{2,}/g) ?? []).map((word) => word.replace(/(?<=..)s$/, ''));
}

const LITTLE = new Set(
  wordsOf(
    'a an and are as at by for from here how in into is it its of on or that the their this to what which with file',
  ),
);

/** What a line says beside its file's own name. */
function newWords(path, line) {
  const named = new Set(wordsOf(path));
  return wordsOf(line).filter((word) => !named.has(word) && !LITTLE.has(word));
}

/** Every file and folder that a head may point to, whole and by each end of its path. */
function placesOf(paths) {
  const places = new Set();
  for (const path of paths) {
    const parts = path.split('/');
    for (let end = parts.length; end > 0; end -= 1) {
      for (let from = 0; from < end; from += 1) {
        const place = parts.slice(from, end).join('/');
        places.add(place);
        if (end === parts.length) places.add(place.replace(/\.[a-z]+$/, ''));
      }
    }
  }
  return places;
}

/** Words of a head that look like a file or a folder: `a/b`, `a/`, `a.ts`. */
const POINTER = /[\w.@*{},-]*[\w*}](\/[\w.@*{},-]*)+|[\w*-]+\.[a-z]{1,3}\b/g;

function pointersIn(head) {
  const found = head.join(' ').match(POINTER) ?? [];
  return found.map((word) => word.replace(/[.,/]+$/, '').replace(/^(\.\.?\/)+/, ''));
}

function pointsSomewhere(path, head, places) {
  return pointersIn(head).some((pointer) => {
    if (pointer === path || pointer === basename(path)) return false;
    if (!/[*{]/.test(pointer)) return places.has(pointer);
    // `gemm_*.cc` and `{cpu,cuda}/ops`: what stands before the first of them must exist.
    const fixed = pointer.slice(0, pointer.search(/[*{]/));
    return fixed === '' || [...places].some((place) => place.startsWith(fixed));
  });
}

function checkHeads() {
  const paths = filesIn(HEADS, new RegExp(`${SLASHES.source}|${HASHES.source}`));
  const places = placesOf(filesIn([...COMMENTS, ...PROSE], /./));
  const owners = new Map();
  for (const path of paths) {
    const head = headOf(path, linesOf(path));
    if (head.length === 0) {
      report(path, 1, 'opens without a comment: say what belongs here, and where the rest is');
      continue;
    }
    if (head.length < 2) report(path, 1, 'its head has one line: say also where the rest is');
    else if (!pointsSomewhere(path, head, places))
      report(path, 1, 'its head names no other file or folder that exists: say where the rest is');
    if (newWords(path, head.join(' ').replace(POINTER, ' ')).length < 3)
      report(path, 1, 'its head only restates its name');
    // Alike too where just the files' own names differ.
    const own = new Set(wordsOf(path));
    const isOwn = (word) => wordsOf(word).length > 0 && wordsOf(word).every((part) => own.has(part));
    const first = head[0].toLowerCase();
    const nameless = first.replace(/[a-z0-9_]+/g, (word) => (isOwn(word) ? '_' : word));
    const owner = owners.get(first) ?? owners.get(nameless);
    if (owner !== undefined) report(path, 1, `its head begins as that of ${owner}: "${head[0]}"`);
    owners.set(first, path).set(nameless, path);
  }
}

// Comments

/** Numbers of the lines that hold comments: whole ones, blocks, and those after code. */
function commentLines(path, lines) {
  const mark = HASHES.test(path) ? '#' : '//';
  const found = [];
  let closing;
  lines.forEach((line, at) => {
    const text = line.trim();
    if (closing !== undefined) {
      found.push(at);
      if (text.includes(closing)) closing = undefined;
    } else if (mark === '//' && text.startsWith('/*')) {
      found.push(at);
      if (!text.includes('*/')) closing = '*/';
    } else if (mark === '#' && /^[rR]?"""/.test(text)) {
      found.push(at);
      if (!/""".*"""/.test(text)) closing = '"""';
    } else if (text.startsWith(mark)) {
      found.push(at);
    } else {
      const comment = line.search(mark === '#' ? /\s#\s/ : /\s(\/\/|\/\*)\s/);
      const before = line.slice(0, Math.max(comment, 0));
      // An odd quote before it: the mark stands inside a string.
      if (comment > 0 && [`'`, '"', '`'].every((quote) => before.split(quote).length % 2 === 1)) found.push(at);
    }
  });
  return found;
}

function checkComments() {
  for (const path of filesIn(COMMENTS, new RegExp(`${SLASHES.source}|${HASHES.source}`))) {
    const lines = linesOf(path);
    for (const at of commentLines(path, lines)) {
      if (/biome-ignore|@ts-expect-error|NOLINT/.test(lines[at])) continue;
      const width = columns(lines[at]);
      if (width > WIDTH) report(path, at + 1, `a comment of ${width} columns, more than ${WIDTH}`);
    }
  }
}

// Prose

/** Numbers of the lines of a Markdown file that are prose: no code, table, heading, comment. */
function proseLines(lines) {
  const found = [];
  let fence;
  let inComment = false;
  let inList = false;
  let afterBlank = true;
  let inCode = false;
  lines.forEach((line, at) => {
    const text = line.trim();
    const opening = /^(`{3,}|~{3,})/.exec(text)?.[1];
    if (fence !== undefined) {
      if (opening?.startsWith(fence)) fence = undefined;
      return;
    }
    if (opening !== undefined) {
      fence = opening;
      return;
    }
    if (inComment || text.startsWith('<!--')) {
      inComment = !text.includes('-->');
      return;
    }
    if (text === '') {
      afterBlank = true;
      return;
    }
    if (/^\S/.test(line)) inList = /^([-*+]|\d+\.)\s/.test(line);
    inCode = /^( {4}|\t)/.test(line) && !inList && (afterBlank || inCode);
    afterBlank = false;
    if (!inCode && !/^(\||#)/.test(text)) found.push(at);
  });
  return found;
}

function checkProse() {
  for (const path of filesIn(PROSE, /\.md$/)) {
    const lines = linesOf(path);
    for (const at of proseLines(lines)) {
      const width = columns(lines[at]);
      if (width > WIDTH) report(path, at + 1, `prose of ${width} columns, more than ${WIDTH}`);
    }
  }
}

checkHeads();
checkComments();
checkProse();

const wanted = positionals.map((path) => path.replace(/\/+$/, ''));
const shown = problems.filter(
  ({ path }) => wanted.length === 0 || wanted.some((place) => path === place || path.startsWith(`${place}/`)),
);
for (const { path, line, message } of options.all ? shown : shown.slice(0, SHOWN)) {
  console.error(`${path}:${line}: ${message}`);
}
if (!options.all && shown.length > SHOWN) console.error(`… and ${shown.length - SHOWN} more (--all lists them)`);
if (shown.length > 0) {
  const files = new Set(shown.map(({ path }) => path)).size;
  console.error(`${shown.length} offence(s) in ${files} file(s) against the rules of scripts/lint-words.mjs`);
  process.exitCode = 1;
}
