/**
 * What TypeScript knows of ops is what native/ops says: the lint of the generated files, and what
 * it says of trees that are not in order.
 */
import { spawnSync } from 'node:child_process';
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';

const ROOT = resolve(__dirname, '../..');
let folder: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'generate-ops-'));
  for (const part of ['native/ops', 'src/graph/ops']) cpSync(join(ROOT, part), join(folder, part), { recursive: true });
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

function generate(...args: string[]): { status: number | null; output: string } {
  const script = join(ROOT, 'scripts/generate-ops.mjs');
  const { status, stderr } = spawnSync(process.execPath, [script, '--root', folder, ...args], { encoding: 'utf8' });
  return { status, output: stderr };
}

function edit(path: string, change: (text: string) => string): void {
  const file = join(folder, path);
  const text = readFileSync(file, 'utf8');
  expect(change(text)).not.toBe(text);
  writeFileSync(file, change(text));
}

test('the generated files are up to date', () => {
  expect(generate('--check')).toEqual({ status: 0, output: '' });
});

test('a changed signature makes them stale until they are written again', () => {
  edit('native/ops/lora_linear.h', (text) => text.replaceAll('rank in [1, 256]', 'rank in [1, 64]'));
  const { status, output } = generate('--check');
  expect(status).toBe(1);
  expect(output).toContain('src/graph/ops/signatures.ts is not what native/ops says');
  expect(generate().status).toBe(0);
  expect(readFileSync(join(folder, 'src/graph/ops/signatures.ts'), 'utf8')).toContain('rank in [1, 64], dropout');
  expect(generate('--check').status).toBe(0);
});

test('a new op of the table appears in both files, under the name of its header', () => {
  edit('native/ops/ops.def', (text) => text.replace('FL_OP(add, AddOp)', 'FL_OP(add, AddOp)\nFL_OP(sum, AddOp)'));
  expect(generate().status).toBe(0);
  expect(readFileSync(join(folder, 'src/graph/ops/signatures.ts'), 'utf8')).toContain(
    "  sum: {\n    inputs: 'a [R, N]",
  );
  expect(readFileSync(join(folder, 'src/graph/ops/rules.ts'), 'utf8')).toContain(
    "export { addOp, dropoutOp, scaleOp, sumOp } from './elementwise';",
  );
});

test('an op whose struct has no signature is named', () => {
  edit('native/ops/ops.def', (text) => text.replace('FL_OP(add, AddOp)', 'FL_OP(add, SumOp)'));
  const { status, output } = generate('--check');
  expect(status).toBe(1);
  expect(output).toContain('add is a SumOp');
});
