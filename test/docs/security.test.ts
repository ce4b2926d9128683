/** docs/security.md: each limit of its table is that of the sources, and a test holds it. */
import * as fs from 'node:fs';
import { LIMITS } from '../../src/models/config';

const page = fs.readFileSync('docs/security.md', 'utf8');
const rows = page.split('\n').flatMap((line) => /^\| ([^|]+) \| ([^|]+) \| `(test\/[^`]+)` \|$/.exec(line) ?? []);

it('names a test file for each limit', () => {
  const files = rows.filter((_, i) => i % 4 === 3);
  expect(files.length).toBeGreaterThan(14);
  for (const file of files) expect([file, fs.existsSync(file)]).toEqual([file, true]);
});

it('has the sizes that hold', () => {
  const words = rows.join(' ');
  for (const limit of Object.values(LIMITS)) expect(words).toContain(limit.toLocaleString('en-US'));
});

it('says where to report', () => {
  expect(fs.readFileSync('SECURITY.md', 'utf8')).toContain('private security advisory on the repository');
});
