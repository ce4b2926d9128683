/**
 * Bundles a small program with each bundler of scripts/bundlers, with the setting that
 * docs/bundlers.md names for it, and runs what comes out away from the sources: it must compute a
 * kernel and a prediction. The bundlers come from npm, into .cache/bundlers.
 * Usage: node scripts/try-bundlers.mjs [NAME …] [--packages FOLDER]
 *   NAME   a file of scripts/bundlers; default: all
 */
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { parseArgs } from 'node:util';
import { installPackages } from './lib/install-packages.mjs';
import { fail, mustRun, root, run, say } from './lib/shell.mjs';
import { makeAdapter } from './release/program.mjs';

const PLATFORM = `${process.platform}-${process.arch}`;
const CACHE = join(root, '.cache', 'bundlers');
const known = readdirSync(join(root, 'scripts/bundlers')).map((file) => basename(file, '.mjs'));
const { positionals, values } = parseArgs({
  options: { packages: { type: 'string', default: join(root, 'packages') } },
  allowPositionals: true,
});
const unknown = positionals.filter((name) => !known.includes(name));
if (unknown.length > 0) fail(`there is no bundler ${unknown.join(', ')}; there are ${known.join(', ')}`);

mkdirSync(CACHE, { recursive: true });
const { adapter, expected } = await makeAdapter(join(CACHE, 'adapter'), values.packages);
for (const name of positionals.length > 0 ? positionals : known) {
  const began = Date.now();
  const { packages, tryIt } = await import(`./bundlers/${name}.mjs`);
  const place = project(name, packages);
  // Node's own, so that a bundler sees neither this clone nor its settings.
  const start = (what, args, options = {}) =>
    mustRun(`${name}: ${what}`, process.execPath, args, { cwd: place, ...options });
  /** Runs a program in a folder that has the models; `env` and `starter` as given. */
  const check = (what, [program, ...args], cwd) => {
    for (const [from, to] of [
      [join(root, 'assets/tiny-roberta'), 'model'],
      [adapter, 'adapter'],
    ])
      cpSync(from, join(cwd, to), { recursive: true });
    const { status, output } = run(program, args, { quiet: true, cwd });
    if (status !== 0 || output.trim() !== expected) fail(`${name}: ${what} prints\n${output}\nand not\n${expected}`);
    say(`${name}: ${what}`);
  };
  await tryIt({ place, start, check, expected, adapter, platform: PLATFORM });
  say(`ok   ${name} (${((Date.now() - began) / 1000).toFixed(0)} s)`);
}

/** A folder with the bundler's packages and ours. */
function project(name, packages) {
  const place = join(CACHE, name);
  const json = JSON.stringify({ name, private: true, dependencies: packages });
  const file = join(place, 'package.json');
  const modules = join(place, 'node_modules');
  // npm writes it when an install is whole.
  const whole = existsSync(join(modules, '.package-lock.json'));
  if (!whole || !existsSync(file) || readFileSync(file, 'utf8') !== json) {
    rmSync(place, { recursive: true, force: true });
    mkdirSync(modules, { recursive: true });
    writeFileSync(file, json);
    const wanted = Object.entries(packages).map(([dependency, version]) => `${dependency}@${version}`);
    say(`installing ${wanted.join(', ')}`);
    const args = ['install', '--no-save', '--ignore-scripts', '--no-audit', '--no-fund'];
    mustRun('npm install', 'npm', args, { cwd: place });
  }
  for (const own of ['fused-lora', '@fused-lora']) rmSync(join(modules, own), { recursive: true, force: true });
  installPackages(place, PLATFORM, values.packages);
  return place;
}
