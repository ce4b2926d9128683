/** docs/options.md is what the option table says. */
import * as fs from 'node:fs';
import * as path from 'node:path';
import { optionPage } from './option_page';

test('docs/options.md is made of the option table', () => {
  expect(fs.readFileSync(path.join(__dirname, '..', '..', 'docs', 'options.md'), 'utf8')).toBe(optionPage());
});
