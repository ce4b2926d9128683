import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';

const script = resolve(__dirname, '../../scripts/lint-directions.mjs');
let folder: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'lint-directions-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

/** Lints a tree of the given files. */
function lint(files: Record<string, string>): { status: number | null; output: string } {
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, path)), { recursive: true });
    writeFileSync(join(folder, path), text);
  }
  const { status, stderr } = spawnSync(process.execPath, [script, folder], { encoding: 'utf8' });
  return { status, output: stderr };
}

test('imports and includes along the direction of knowledge pass', () => {
  const { status, output } = lint({
    'src/base/errors.ts': 'export class E {}\n',
    'src/graph/value.ts': "import { E } from '../base/errors';\n",
    'src/train/trainer.ts':
      "import type { Value } from '../graph/value';\nimport { Batches } from '../data/batches';\n",
    'src/index.ts': "export * from './train/trainer';\n",
    'native/runtime/tensor.h': '#include <vector>\n',
    'native/cpu/gemm/kernel.cc': '#include "cpu/gemm/kernel.h"\n#include "ops/linear.h"\n#include "runtime/tensor.h"\n',
    'native/addon/addon.cc': '#include <napi.h>\n#include "program/program.h"\n',
    'native/cuda/stream.cu': '#include <cuda_runtime.h>\n',
  });
  expect(output).toBe('');
  expect(status).toBe(0);
});

test.each([
  ['src/train/a.ts', "import { Roberta } from '../models/roberta';", 'src/train/a.ts:1: train may not know models'],
  ['src/graph/a.ts', "\nexport { x } from '../nn/linear';", 'src/graph/a.ts:2: graph may not know nn'],
  ['src/lora/a.ts', "const t = await import('../train/trainer');", 'src/lora/a.ts:1: lora may not know train'],
  ['src/nn/a.ts', "const v = require('../../package');\nimport x from '../../scripts/x';", 'which is outside src/'],
  ['src/misc/a.ts', 'export {};', 'src/misc/ has no place in the table'],
  [
    'src/data/read/a.ts',
    "import type { B } from '../batch/b';",
    'src/data/read/a.ts:1: data/read may not know data/batch',
  ],
  ['src/data/examples/a.ts', "import '../read/csv';", 'data/examples may not know data/read'],
  ['src/nn/a.ts', "import { a } from './a';", 'src/nn/a.ts -> src/nn/a.ts: a circle of imports'],
  ['native/cpu/a.cc', '#include "cuda/stream.h"', 'native/cpu/a.cc:1: cpu may not know cuda'],
  ['native/runtime/a.h', '#pragma once\n#include "ops/op.h"', 'native/runtime/a.h:2: runtime may not know ops'],
  ['native/program/a.cc', '#include <napi.h>', 'only native/addon may see the Node API'],
  ['native/cpu/a.cc', '#include <cuda_runtime.h>', 'only native/cuda may see CUDA headers'],
  ['native/misc/a.cc', 'int x;', 'native/misc has no place in the table'],
])('%s: %j is refused', (path, text, message) => {
  const { status, output } = lint({ [path]: `${text}\n` });
  expect(output).toContain(message);
  expect(status).toBe(1);
});

test('a circle of files is refused once, types and benchmarks too', () => {
  const { status, output } = lint({
    'src/nn/index.ts': "export { M } from './module';\n",
    'src/nn/module.ts': "import { s } from './state';\n",
    'src/nn/state.ts': "import type { I } from './init';\n",
    'src/nn/init.ts': "import type { M } from '.';\n",
    'benchmarks/lib/models.ts': "import { r } from './result';\n",
    'benchmarks/lib/result.ts': "export * from './models';\n",
    'benchmarks/lib/free.ts': "import { r } from './result';\n",
  });
  expect(output).toContain(
    'src/nn/index.ts -> src/nn/module.ts -> src/nn/state.ts -> src/nn/init.ts -> src/nn/index.ts: a circle of imports',
  );
  expect(output).toContain('benchmarks/lib/models.ts -> benchmarks/lib/result.ts -> benchmarks/lib/models.ts');
  expect(output).not.toContain('free.ts');
  expect(output).toContain('2 problem(s)');
  expect(status).toBe(1);
});
