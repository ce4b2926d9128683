/**
 * Every stored input of the fuzzers goes through its target again: only errors that name what is
 * wrong. Files of corpus/ are valid samples of the formats and what fuzzers made of them.
 */
import * as fs from 'node:fs';
import * as path from 'node:path';
import { runTarget, TARGETS } from './targets';

const CORPUS = path.join(__dirname, 'corpus');

test('each target has a corpus, and nothing else does', () => {
  expect(fs.readdirSync(CORPUS).sort()).toEqual(Object.keys(TARGETS).sort());
});

test.each(Object.keys(TARGETS))('%s', async (target) => {
  const files = fs.readdirSync(path.join(CORPUS, target));
  expect(files.length).toBeGreaterThan(0);
  for (const file of files) {
    const bytes = fs.readFileSync(path.join(CORPUS, target, file));
    await expect(runTarget(target, bytes).then(() => file)).resolves.toBe(file);
  }
});
