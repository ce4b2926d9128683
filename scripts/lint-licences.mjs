/**
 * Holds the licences of what the package installs at a user's place to a list: package-lock.json's
 * entries that are for production, and what goes into dist/vendor (lib/vendored.mjs). It looks at
 * no file of node_modules and asks no registry.
 * Usage: node scripts/lint-licences.mjs [LOCK FILE]
 * Why each dependency is there: docs/decisions.md, "Dependencies".
 */
import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { fail, root } from './lib/shell.mjs';
import { VENDORED } from './lib/vendored.mjs';

/** SPDX ids that ask for no more than their text to be kept. */
const ALLOWED = new Set(['MIT', 'ISC', 'BSD-2-Clause', 'BSD-3-Clause', 'Apache-2.0', 'BlueOak-1.0.0', '0BSD']);

/**
 * Whether an SPDX expression allows the use: `OR` gives a
 * choice, `AND` asks for both; `WITH` and what else there is are not known here.
 */
function allows(expression) {
  const tokens = expression.match(/[()]|[^\s()]+/g) ?? [];
  let at = 0;
  const choice = () => {
    let ok = both();
    while (tokens[at] === 'OR') {
      at++;
      ok = both() || ok;
    }
    return ok;
  };
  const both = () => {
    let ok = one();
    while (tokens[at] === 'AND') {
      at++;
      ok = one() && ok;
    }
    return ok;
  };
  const one = () => {
    const token = tokens[at++];
    if (token !== '(') return ALLOWED.has(token);
    const ok = choice();
    return tokens[at++] === ')' && ok;
  };
  return choice() && at === tokens.length;
}

const file = process.argv[2] ? resolve(process.argv[2]) : join(root, 'package-lock.json');
const { packages } = JSON.parse(readFileSync(file, 'utf8'));
const vendored = new Set(Object.keys(VENDORED));
for (const name of vendored)
  for (const needed of Object.keys(packages[`node_modules/${name}`]?.dependencies ?? {})) vendored.add(needed);
const installed = Object.entries(packages).filter(
  ([path, entry]) => path !== '' && (!entry.dev || vendored.has(path.replace(/^.*node_modules\//, ''))),
);
const wrong = installed
  .filter(([, { license }]) => typeof license !== 'string' || !allows(license))
  .map(([path, { license }]) => `  ${path.replace(/^.*node_modules\//, '')}: ${license ?? 'no licence'}`);
if (wrong.length > 0) {
  fail(`licences that are not on the list of scripts/lint-licences.mjs:\n${wrong.join('\n')}`);
}
if (installed.length === 0) fail(`${file} has no package for production`);
process.stdout.write(`${installed.length} packages are installed with this one, all of known licences\n`);
