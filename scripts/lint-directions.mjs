/**
 * Checks who may know whom: TypeScript imports in src/ and C++ includes in native/ against the
 * tables below, and that no TypeScript files of src/ and benchmarks/ import each other in a circle.
 * Knowledge points one way, so that an op, a backend or a model can be read, tested and replaced by
 * itself.
 * Usage: node scripts/lint-directions.mjs [root folder]
 * Heads and widths are checked by lint-words.mjs.
 */
import { readFileSync } from 'node:fs';
import { dirname, join, relative, resolve, sep } from 'node:path';
import { root as packageRoot } from './lib/shell.mjs';
import { listFiles } from './lib/stamp.mjs';

const root = resolve(process.argv[2] ?? packageRoot);

/**
 * Folder or root module of src/ → what else it may import, beside src/base, which all may import.
 */
const floors = ['native', 'distributed', 'graph', 'nn', 'io'];
const typescript = {
  base: [],
  native: [],
  distributed: ['native'],
  graph: ['native'],
  nn: ['graph', 'native'],
  io: ['nn', 'graph', 'native'],
  models: floors,
  lora: floors,
  data: floors,
  metrics: ['data', ...floors],
  train: ['metrics', 'data', ...floors],
  report: ['train', 'metrics', 'data', ...floors],
  subspace: ['train', ...floors],
  task: ['subspace', 'report', 'train', 'models', 'lora', 'metrics', 'data', ...floors],
  study: ['task', 'subspace', 'report', 'train', 'models', 'lora', 'metrics', 'data', ...floors],
  serve: ['task', 'subspace', 'report', 'train', 'models', 'lora', 'metrics', 'data', ...floors],
  kernels: ['nn', 'graph', 'native'],
  cli: [
    'index',
    'serve',
    'study',
    'task',
    'subspace',
    'report',
    'train',
    'models',
    'lora',
    'metrics',
    'data',
    ...floors,
    'kernels',
  ],
  index: [
    'serve',
    'study',
    'task',
    'subspace',
    'report',
    'train',
    'models',
    'lora',
    'metrics',
    'data',
    ...floors,
    'kernels',
  ],
};

/** Room of a folder of src/ → which other rooms of the folder it may import: data go one way. */
const rooms = {
  'data/examples': [],
  'data/read': ['data/examples'],
  'data/tokenize': ['data/examples'],
  'data/batch': ['data/tokenize', 'data/read', 'data/examples'],
};

/** Folder of native/ → what else it may include. */
const cpp = {
  platform: [],
  runtime: ['platform'],
  ops: ['runtime'],
  reference: ['ops', 'runtime'],
  cpu: ['ops', 'runtime', 'platform'],
  cuda: ['ops', 'runtime'],
  // Where the instructions that it stands in for find their operands.
  emulator: ['cuda'],
  program: ['reference', 'cpu', 'cuda', 'ops', 'runtime', 'platform'],
  distributed: ['runtime', 'platform'],
  addon: ['program', 'distributed', 'reference', 'cpu', 'cuda', 'ops', 'runtime', 'platform'],
  bench: ['cuda', 'ops', 'runtime'],
  test: ['fuzz', 'program', 'distributed', 'reference', 'cpu', 'cuda', 'ops', 'runtime', 'platform', 'emulator'],
  // The small program of the tests, and nothing else of them.
  fuzz: ['test', 'program', 'ops', 'runtime'],
};

const problems = [];

/** "src/nn/linear.ts" → "nn"; "src/native.ts" → "native". */
function layerOf(path) {
  const parts = path.split(sep);
  return parts.length > 2 ? parts[1] : parts[1]?.replace(/(\.d)?\.ts$|\.(cc|h|cu|cuh)$/, '');
}

/** "src/data/read/csv.ts" → "data/read", where the table has that room. */
function roomOf(path) {
  const room = path.split(sep).slice(1, 3).join('/');
  return Object.hasOwn(rooms, room) ? room : undefined;
}

function lineOf(text, index) {
  return text.slice(0, index).split('\n').length;
}

/** Relative imports of values and types, and exports from elsewhere. */
const imports = /(?:\bfrom\s*|\bimport\s*\(\s*|\brequire\s*\(\s*|^\s*import\s+)['"](\.[^'"]*)['"]/gm;

function checkTypeScript() {
  for (const file of listFiles(['src'], root).filter((name) => name.endsWith('.ts'))) {
    const path = relative(root, file);
    const isFolder = path.split(sep).length > 2;
    const from = layerOf(path);
    if (isFolder && !(from in typescript)) {
      problems.push(
        `${path}: src/${from}/ has no place in the table of scripts/lint-directions.mjs; add it where it belongs`,
      );
      continue;
    }
    const text = readFileSync(file, 'utf8');
    for (const match of text.matchAll(imports)) {
      const target = relative(root, resolve(dirname(file), match[1]));
      const where = `${path}:${lineOf(text, match.index)}`;
      if (!target.startsWith(`src${sep}`) && target !== 'src') {
        if (!/package\.json$/.test(target)) problems.push(`${where}: imports "${match[1]}", which is outside src/`);
        continue;
      }
      const to = target === 'src' ? 'index' : layerOf(target);
      const [room, otherRoom] = [roomOf(path), roomOf(target)];
      if (room && otherRoom && room !== otherRoom && !rooms[room].includes(otherRoom)) {
        problems.push(
          `${where}: ${room} may not know ${otherRoom} (imports "${match[1]}"); of src/data it may import: ${rooms[room].join(', ') || 'nothing'}`,
        );
      }
      const toIsBase = to === 'base' || !(to in typescript);
      if (to === from || toIsBase) continue;
      const allowed = typescript[from] ?? [];
      if (!allowed.includes(to)) {
        problems.push(
          `${where}: ${from} may not know ${to} (imports "${match[1]}"); it may import: ${allowed.join(', ') || 'src/base only'}`,
        );
      }
    }
  }
}

/** The shortest way along imports from one file back to itself. */
function circleFrom(start, importsOf) {
  const cameFrom = new Map();
  const queue = [start];
  for (const file of queue) {
    for (const next of importsOf.get(file) ?? []) {
      if (next === start) {
        const way = [start];
        for (let at = file; at !== start; at = cameFrom.get(at)) way.unshift(at);
        return [start, ...way];
      }
      if (cameFrom.has(next)) continue;
      cameFrom.set(next, file);
      queue.push(next);
    }
  }
  return undefined;
}

function checkCircles() {
  const files = listFiles(['src', 'benchmarks'], root).filter((name) => name.endsWith('.ts'));
  const known = new Set(files);
  const importsOf = new Map();
  for (const file of files) {
    const targets = [...readFileSync(file, 'utf8').matchAll(imports)].map((match) => {
      const target = resolve(dirname(file), match[1]);
      return [`${target}.ts`, join(target, 'index.ts')].find((name) => known.has(name));
    });
    importsOf.set(
      file,
      targets.filter((target) => target !== undefined),
    );
  }
  const told = new Set();
  for (const file of files) {
    const circle = told.has(file) ? undefined : circleFrom(file, importsOf);
    if (!circle) continue;
    for (const one of circle) told.add(one);
    problems.push(
      `${circle.map((name) => relative(root, name)).join(' -> ')}: a circle of imports; move what both need to a file of its own`,
    );
  }
}

/** Macros that name an operating system or its C library, and headers that not all of them have. */
const SYSTEM =
  /^[ \t]*#[ \t]*(?:(?:el)?if.*\b(?:_WIN32|__MINGW32__|_MSC_VER|__APPLE__|__linux__|__GLIBC__)\b|include[ \t]*<(?:windows|unistd|pthread|sched|fcntl|dlfcn|process|sys\/.*)\.h>).*$/gm;

/** What is built for Linux alone, to test: emulator, libraries to be preloaded, measurements. */
function mayKnowTheSystem(path) {
  return ['platform', 'emulator', 'bench', join('test', 'faults')].some((room) =>
    path.startsWith(join('native', room)),
  );
}

function checkCpp() {
  const includes = /^[ \t]*#[ \t]*include[ \t]*(["<])([^">]+)[">]/gm;
  const sources = listFiles(['native'], root).filter((name) => /\.(cc|h|cu|cuh|inc|def)$/.test(name));
  for (const file of sources) {
    const path = relative(root, file);
    const from = layerOf(path);
    if (!(from in cpp)) {
      problems.push(
        `${path}: native/${from} has no place in the table of scripts/lint-directions.mjs; add it where it belongs`,
      );
      continue;
    }
    const text = readFileSync(file, 'utf8');
    if (!mayKnowTheSystem(path)) {
      for (const match of text.matchAll(SYSTEM))
        problems.push(`${path}:${lineOf(text, match.index)}: only native/platform may ask which system it is for`);
    }
    for (const match of text.matchAll(includes)) {
      const [, quote, name] = match;
      const where = `${path}:${lineOf(text, match.index)}`;
      if (/^(napi|node_api|js_native_api)/.test(name) && from !== 'addon') {
        problems.push(`${where}: only native/addon may see the Node API (includes "${name}")`);
      }
      if (
        /^(cuda|cublas|nv\/|mma\.h|cooperative_groups)/.test(name) &&
        quote === '<' &&
        !['cuda', 'emulator', 'bench'].includes(from) &&
        !path.startsWith(join('native', 'test', 'device'))
      ) {
        problems.push(`${where}: only native/cuda may see CUDA headers (includes <${name}>)`);
      }
      if (quote !== '"') continue;
      const to = name.includes('/') ? name.split('/')[0] : from;
      if (to === from || !(to in cpp)) continue;
      if (!cpp[from].includes(to)) {
        problems.push(
          `${where}: ${from} may not know ${to} (includes "${name}"); it may include: ${cpp[from].join(', ') || 'the standard library only'}`,
        );
      }
    }
  }
}

checkTypeScript();
checkCircles();
checkCpp();
for (const problem of problems) console.error(problem);
if (problems.length > 0) {
  console.error(
    `${problems.length} problem(s): imports or includes against the direction of knowledge, or in a circle`,
  );
  process.exit(1);
}
