import * as fs from 'node:fs';
import * as path from 'node:path';
import { makeFolder } from '../../src/io/folders';
import { temporaryFolder } from './temporary';

const dir = temporaryFolder();
const codeOf = (action: () => void) => {
  try {
    action();
  } catch (error) {
    return (error as NodeJS.ErrnoException).code;
  }
  return 'no error';
};

test('makes a folder and its parents, and takes one that is there', () => {
  const deep = path.join(dir, 'a', 'b', 'c');
  makeFolder(deep);
  makeFolder(deep);
  expect(fs.statSync(deep).isDirectory()).toBe(true);
});

test('a file in the way is an error', () => {
  const file = path.join(dir, 'file');
  fs.writeFileSync(file, '');
  expect(codeOf(() => makeFolder(file))).toBe('EEXIST');
  expect(codeOf(() => makeFolder(path.join(file, 'a', 'b')))).toBe('ENOTDIR');
});

// Node's own `recursive` never returns there.
(fs.existsSync('/proc/self') ? test : test.skip)('a folder that takes none (/proc) is an error, and at once', () => {
  expect(codeOf(() => makeFolder('/proc/none/deeper'))).toBe('ENOENT');
});
