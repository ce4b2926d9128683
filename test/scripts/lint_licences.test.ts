import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';

const script = resolve(__dirname, '../../scripts/lint-licences.mjs');
let folder: string;

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'lint-licences-'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function lint(license: unknown, dev = false): { status: number | null; stderr: string } {
  const file = join(folder, 'package-lock.json');
  const packages = { '': {}, 'node_modules/known': { license: 'MIT' }, 'node_modules/@a/one': { license, dev } };
  writeFileSync(file, JSON.stringify({ packages }));
  return spawnSync(process.execPath, [script, file], { encoding: 'utf8' });
}

test('the packages of this project pass', () => {
  expect(spawnSync(process.execPath, [script], { encoding: 'utf8' })).toMatchObject({ status: 0, stderr: '' });
});

test.each(['ISC', '(MIT OR GPL-3.0-only)', 'GPL-2.0-only OR (MIT AND Apache-2.0)'])('%s is allowed', (license) => {
  expect(lint(license)).toMatchObject({ status: 0 });
});

test.each([
  undefined,
  'GPL-3.0-only',
  'MIT AND GPL-3.0-only',
  'MIT WITH Classpath-exception-2.0',
  'UNLICENSED',
  '(MIT',
  '',
  { type: 'MIT' },
])('%p is refused, with the package', (license) => {
  const { status, stderr } = lint(license);
  expect([status, stderr]).toEqual([1, expect.stringContaining('@a/one: ')]);
});

test('what is for development alone is not looked at', () => {
  expect(lint('GPL-3.0-only', true)).toMatchObject({ status: 0 });
});
