/** The version that is compiled in, and what package.json has. */
import * as fs from 'node:fs';
import * as path from 'node:path';
import { VERSION } from '../../src/base/version';

test('src/base/version.ts has the version of package.json', () => {
  const { version } = JSON.parse(fs.readFileSync(path.join(__dirname, '../../package.json'), 'utf8'));
  expect(VERSION).toBe(version);
});
