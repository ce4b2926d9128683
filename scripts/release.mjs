/**
 * All that is done before a release is published: checks the tree, runs every check, builds all
 * packages twice, runs each platform's, installs them with every package manager, and tries the
 * bundlers. It publishes nothing; docs/releasing.md says what to type then.
 * Usage: node scripts/release.mjs [--only STEP,…] [--skip STEP,…] [--managers NAME,…] [--nodes N,…]
 *          [--packages FOLDER] [--no-cuda]
 *   STEP        tree, workflow, tests, packages, platforms, installs, bundlers: the parts below
 *   --packages  folder of the tarballs that installs takes; default: packages
 *   --no-cuda   without the package that nvcc builds: to try the rest, not to publish
 * Its parts are in scripts/release; what it builds is in packages.mjs.
 */
import { createHash } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { PLATFORMS } from './lib/platforms.mjs';
import { fail, mustRun, root, run, say, which } from './lib/shell.mjs';
import { tryInstalls } from './release/installs.mjs';
import { makeAdapter } from './release/program.mjs';
import { startRegistry, tarballs } from './release/registry.mjs';

const ACTIONLINT = 'github.com/rhysd/actionlint/cmd/actionlint@v1.7.12';
const STEPS = { tree, workflow, tests, packages, platforms, installs, bundlers };
const { values } = parseArgs({
  options: {
    only: { type: 'string' },
    skip: { type: 'string' },
    managers: { type: 'string' },
    nodes: { type: 'string' },
    packages: { type: 'string', default: join(root, 'packages') },
    cuda: { type: 'boolean', default: true },
  },
  allowNegative: true,
});
const list = (text) => text?.split(',');
const unknown = [...(list(values.only) ?? []), ...(list(values.skip) ?? [])].filter((name) => !(name in STEPS));
if (unknown.length > 0) fail(`there is no step ${unknown.join(', ')}; there are ${Object.keys(STEPS).join(', ')}`);
const chosen = Object.keys(STEPS).filter(
  (name) => (list(values.only) ?? [name]).includes(name) && !list(values.skip)?.includes(name),
);
const { version } = readJson('package.json');
const shipped = Object.keys(PLATFORMS).filter((name) => values.cuda || !PLATFORMS[name].cuda);
for (const name of chosen) {
  const began = Date.now();
  await STEPS[name]();
  say(`ok   ${name} (${((Date.now() - began) / 1000).toFixed(0)} s)`);
}

function readJson(file) {
  return JSON.parse(readFileSync(join(root, file), 'utf8'));
}

/** Nothing that is not committed, and one version everywhere. */
function tree() {
  const changed = mustRun('git status', 'git', ['status', '--porcelain']).trim();
  if (changed !== '') fail(`not committed:\n${changed}`);
  const lock = readJson('package-lock.json');
  const named = {
    'package-lock.json': lock.version,
    'package-lock.json, packages[""]': lock.packages[''].version,
    'src/base/version.ts': /VERSION = '(.*)'/.exec(readFileSync(join(root, 'src/base/version.ts'), 'utf8'))?.[1],
  };
  const wrong = Object.entries(named).filter(([, found]) => found !== version);
  if (wrong.length > 0)
    fail(`package.json says ${version}: ${wrong.map(([file, found]) => `${file} says ${found}`).join('; ')}`);
  const changes = readFileSync(join(root, 'CHANGELOG.md'), 'utf8');
  if (!changes.includes(`\n## ${version} `)) fail(`CHANGELOG.md has no section "## ${version} - DATE"`);
}

function tests() {
  if (run('npm', ['test']).status !== 0) fail('npm test failed, see above');
}

/** Twice, the second time from nothing: zig keeps the objects that it made. */
function packages() {
  const sums = ['built', 'built again'].map((what) => {
    say(`packages, ${what}`);
    for (const kept of what === 'built again' ? ['build-packages', '.cache/zig'] : [])
      rmSync(join(root, kept), { recursive: true, force: true });
    const args = ['--out', resolve(values.packages), ...(values.cuda ? [] : ['--no-cuda'])];
    if (run(process.execPath, ['scripts/packages.mjs', ...args]).status !== 0) fail('the packages failed, see above');
    return tarballs(version, resolve(values.packages), shipped).map((file) => [
      file,
      createHash('sha256').update(readFileSync(file)).digest('hex'),
    ]);
  });
  const differ = sums[0].filter(([, sum], i) => sum !== sums[1][i][1]).map(([file]) => file);
  if (differ.length > 0) fail(`built twice, and not the same bytes: ${differ.join(', ')}`);
  for (const [file, sum] of sums[0]) say(`${sum}  ${file}`);
}

function platforms() {
  const names = Object.keys(PLATFORMS).filter((name) => !PLATFORMS[name].cuda);
  if (run(process.execPath, ['scripts/test-platform.mjs', ...names]).status !== 0) fail('a platform failed, see above');
}

async function installs() {
  const place = mkdtempSync(join(tmpdir(), 'fused-lora-release-'));
  const { adapter, expected } = await makeAdapter(join(place, 'adapter'), resolve(values.packages));
  const registry = await startRegistry(tarballs(version, resolve(values.packages), shipped));
  try {
    await tryInstalls({
      registry,
      version,
      adapter,
      expected,
      managers: list(values.managers),
      lines: list(values.nodes),
    });
  } finally {
    await registry.close();
    rmSync(place, { recursive: true });
  }
}

/** Of .github/workflows, by actionlint, where Go is. */
function workflow() {
  if (!which('go')) return say('skip the workflow: actionlint needs go');
  const file = '.github/workflows/release.yml';
  mustRun('actionlint', 'go', ['run', ACTIONLINT, file], { env: { ...process.env, GOFLAGS: '-mod=mod' } });
}

function bundlers() {
  if (run(process.execPath, ['scripts/try-bundlers.mjs']).status !== 0) fail('a bundler failed, see above');
}
