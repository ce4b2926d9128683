/**
 * Runs the package of a platform on that platform, or on what stands in for it here: loads it,
 * trains 20 steps, predicts, writes files, and trains in worker threads alone. What it computes is
 * compared with linux-x64's portable path.
 * Usage: node scripts/test-platform.mjs NAME … [--steps N] [--packages FOLDER] [--fetch]
 *          [--here [--reference FILE]]
 *   NAME         a platform of lib/platforms.mjs; the darwin ones are read, not run
 *   --steps      fewer than 20: neither labels are looked at, nor is an old glibc tried
 *   --packages   default: packages
 *   --fetch      only gets what the platforms are run by; exit code 1 where it can not be had
 *   --here       this machine is that platform: runs the package by this Node, and reads no binary
 *   --reference  a result of linux-x64 to compare with; written where that is what runs here
 * Expects the packages (scripts/packages.mjs); what runs them is lib/run-elsewhere.mjs.
 */
import { cpSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { checkBinary } from './lib/check-binary.mjs';
import { installPackages } from './lib/install-packages.mjs';
import { PLATFORMS, packageOf } from './lib/platforms.mjs';
import { fetchFor, runElsewhere, runOnOldGlibc } from './lib/run-elsewhere.mjs';
import { fail, root, run, say } from './lib/shell.mjs';
import { packagingTools } from './setup-packaging.mjs';

const { values, positionals } = parseArgs({
  options: {
    steps: { type: 'string', default: '20' },
    packages: { type: 'string', default: join(root, 'packages') },
    fetch: { type: 'boolean', default: false },
    here: { type: 'boolean', default: false },
    reference: { type: 'string' },
  },
  allowPositionals: true,
});
const unknown = positionals.filter((name) => !(name in PLATFORMS) || PLATFORMS[name].cuda);
if (values.here && positionals.length > 1) fail('--here is for one platform, that of this machine');
if (positionals.length === 0 || unknown.length > 0)
  fail(
    `name a platform: ${Object.keys(PLATFORMS)
      .filter((name) => !PLATFORMS[name].cuda)
      .join(', ')}`,
  );

const PORTABLE = { FUSED_LORA_CPU_ISA: 'portable' };
let reference =
  values.reference && existsSync(values.reference) ? JSON.parse(readFileSync(values.reference, 'utf8')) : undefined;

for (const name of values.fetch ? positionals : []) {
  packagingTools();
  fetchFor(name);
}

for (const name of values.fetch ? [] : positionals) {
  const began = Date.now();
  const place = install(name);
  if (!values.here)
    checkBinary(name, join(place, 'node_modules', packageOf(name), 'fused-lora.node'), packagingTools());
  if (PLATFORMS[name].os === 'darwin' && !values.here) say(`${name}: read, not run: there is no macOS here`);
  else check(name, place);
  say(`ok   ${name} (${((Date.now() - began) / 1000).toFixed(1)} s)`);
}

/** A folder with the packages, the trial and its model. */
function install(name) {
  const place = join(root, '.cache', 'platform', 'work', name);
  rmSync(place, { recursive: true, force: true });
  mkdirSync(place, { recursive: true });
  // Without it `fused-lora` is the clone that this folder lies in, with the clone's own addon.
  writeFileSync(join(place, 'package.json'), '{ "name": "trial", "private": true }\n');
  installPackages(place, name, resolve(values.packages));
  for (const script of ['trial.cjs', 'workers.cjs'])
    cpSync(join(root, 'scripts/platform', script), join(place, script));
  cpSync(join(root, 'assets/tiny-roberta'), join(place, 'model'), { recursive: true });
  return place;
}

/**
 * A script of scripts/platform, run on a platform.
 * @returns what it wrote; undefined where `elsewhere` has no way to run it
 */
function runScript(name, place, [script, ...args], env, elsewhere = (...all) => runElsewhere(name, ...all)) {
  const all = [script, ...args, 'result.json'];
  rmSync(join(place, 'result.json'), { force: true });
  const ran = values.here
    ? run(process.execPath, all, { quiet: true, cwd: place, env: { ...process.env, ...env } })
    : elsewhere(place, all, env);
  if (!ran) return undefined;
  const { status, output } = ran;
  if (status !== 0 || !existsSync(join(place, 'result.json')))
    fail(`${name}: ${script} ended with ${status}:\n${output}`);
  return JSON.parse(readFileSync(join(place, 'result.json'), 'utf8'));
}

/** @returns what the trial says; undefined where `elsewhere` has no way to run it */
function trial(name, place, env, elsewhere) {
  rmSync(join(place, 'adapter'), { recursive: true, force: true });
  const result = runScript(name, place, ['trial.cjs', 'model', 'adapter', values.steps], env, elsewhere);
  if (!result) return undefined;
  const addon = result.addon.replaceAll('\\', '/');
  if (!addon.endsWith(`/node_modules/${packageOf(name)}/fused-lora.node`))
    fail(`${name}: ran ${addon}, not the package`);
  const right = result.labels.join();
  if (Number(values.steps) >= 20 && right !== 'positive,negative,negative,positive') fail(`${name}: predicts ${right}`);
  say(
    `${name}: ${result.system}, ${result.isa}, ${result.compiler}; loss ${result.losses[0]} to ${result.losses.at(-1)}`,
  );
  return result;
}

function check(name, place) {
  // As it comes, where that is another path; then the one that all platforms have.
  if (PLATFORMS[name].cpu === 'x64') {
    const { isa } = trial(name, place, {});
    const flags = existsSync('/proc/cpuinfo')
      ? /^flags\s*:(.*)$/m.exec(readFileSync('/proc/cpuinfo', 'utf8'))?.[1]
      : '';
    if (/\bavx2\b/.test(flags ?? '') && isa === 'portable') fail(`${name}: runs the portable path on a CPU with AVX2`);
  }
  const mine = trial(name, place, PORTABLE);
  if (name === 'linux-x64') {
    reference = mine;
    if (values.reference) writeFileSync(values.reference, JSON.stringify(mine));
  }
  if (!reference && values.here) fail(`${name}: --reference FILE, of linux-x64, is needed to compare with`);
  reference ??= trial('linux-x64', install('linux-x64'), PORTABLE);
  compare(name, mine);
  runScript(name, place, ['workers.cjs', 'model', '3'], {});
  if (name === 'linux-x64' && !values.here && Number(values.steps) >= 20) {
    const onOld = trial(name, place, PORTABLE, runOnOldGlibc);
    if (onOld) compare(`${name} on an old glibc`, onOld);
    else say(`${name}: not run on an old glibc, which only root on Debian can fetch and enter`);
  }
}

/** Ends where an adapter or predictions are not what linux-x64's portable path gives. */
function compare(name, mine) {
  if (mine.adapter !== reference.adapter)
    fail(
      `${name}: the adapter's bytes are not those of linux-x64's portable path.\n` +
        `losses here: ${mine.losses.join(' ')}\nlosses there: ${reference.losses.join(' ')}`,
    );
  const [bits, wanted] = [mine, reference].map(({ predictions, inFewerBits }) =>
    JSON.stringify({ fp32: predictions, ...inFewerBits }),
  );
  if (bits !== wanted)
    fail(`${name}: predictions in fp32, int8 and NF4 are not those of linux-x64's portable path:\n${bits}\n${wanted}`);
}
