/** docs/errors.md has a section for every error code, and for no other. */
import * as fs from 'node:fs';
import * as path from 'node:path';

const ROOT = path.join(__dirname, '..', '..');
const read = (file: string) => fs.readFileSync(path.join(ROOT, file), 'utf8');

test('every error code is explained', () => {
  const codes = [...read('src/base/errors.ts').matchAll(/^ {2}\| '([A-Z_]+)'/gm)].map(([, code]) => code);
  const sections = [...read('docs/errors.md').matchAll(/^### ([A-Z_]+)$/gm)].map(([, code]) => code);
  expect(codes.length).toBeGreaterThan(10);
  expect([...sections].sort()).toEqual([...codes].sort());
});
