/**
 * Installs a release with every package manager on every line of Node, and uses what came: a
 * kernel and a prediction, by require and by import, from the manager's cache alone, and without
 * the platform's package, which must be told clearly. The managers: managers.mjs; the registry:
 * registry.mjs.
 */
import { cpSync, existsSync, lstatSync, mkdirSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fail, root, runBeside, say } from '../lib/shell.mjs';
import { MANAGERS, NODES, nodeProgram } from './managers.mjs';
import { PROGRAMS } from './program.mjs';

const WORK = join(root, '.cache', 'release', 'work');
/** What an install by npm may take to the first prediction, and what node_modules may weigh. */
const SECONDS = 10;
const MEGABYTES = 20;

/** Bytes of all files below a folder, and how much of a disk of 4 KiB blocks they take. */
function weigh(folder) {
  let bytes = 0;
  let onDisk = 0;
  for (const name of readdirSync(folder)) {
    const path = join(folder, name);
    const entry = lstatSync(path);
    if (entry.isSymbolicLink()) continue;
    const below = entry.isDirectory() ? weigh(path) : { bytes: entry.size, onDisk: 0 };
    bytes += below.bytes;
    onDisk += below.onDisk + Math.ceil(entry.size / 4096) * 4096;
  }
  return { bytes, onDisk };
}

/** A project with a model, and nothing on PATH that could compile. */
function makeProject(name, version, adapter) {
  const place = join(WORK, name.replace(/ /g, '-'));
  rmSync(place, { recursive: true, force: true });
  const project = join(place, 'project');
  for (const folder of ['project', 'bin', 'home', 'cache']) mkdirSync(join(place, folder), { recursive: true });
  const json = { name: 'project', private: true, dependencies: { 'fused-lora': version } };
  writeFileSync(join(project, 'package.json'), `${JSON.stringify(json)}\n`);
  for (const [file, text] of Object.entries(PROGRAMS)) writeFileSync(join(project, file), text);
  cpSync(join(root, 'assets/tiny-roberta'), join(project, 'model'), { recursive: true });
  cpSync(adapter, join(project, 'adapter'), { recursive: true });
  return { place, project };
}

async function attempt(what, [command, ...args], options) {
  const { status, output } = await runBeside(command, args, { timeoutMs: 180_000, ...options });
  return { status, output, what };
}

function must({ status, output, what }) {
  if (status !== 0) throw new Error(`${what} failed:\n${output}`);
  return output.trim();
}

/** Removes what a manager put into a project. */
function uninstall(project) {
  for (const name of ['node_modules', '.pnp.cjs', '.pnp.loader.mjs', '.yarn'])
    rmSync(join(project, name), { recursive: true, force: true });
}

/**
 * @param options version, registry (its url), adapter (a folder), expected (what programs print)
 * @returns what is left to try when the registry is closed
 */
async function tryOne(manager, line, { version, registry, adapter, expected }) {
  const node = nodeProgram(line);
  const tool = MANAGERS[manager](line);
  const { place, project } = makeProject(`${manager}-${line}`, version, adapter);
  symlinkSync(node, join(place, 'bin', 'node'));
  symlinkSync('/bin/sh', join(place, 'bin', 'sh'));
  const cache = join(place, 'cache');
  const env = { PATH: join(place, 'bin'), HOME: join(place, 'home'), CI: 'true', ...tool.env(registry, cache) };
  const options = { cwd: project, env };
  const title = `${tool.title}, Node ${NODES[line]}`;
  const run = (file, starter = tool.run?.(node, file) ?? [node, file]) =>
    attempt(`${title}: ${starter.join(' ')}`, starter, options);
  const check = async (file, starter) => {
    const printed = must(await run(file, starter));
    if (printed !== expected) throw new Error(`${title}: ${file} prints\n${printed}\nand not\n${expected}`);
  };
  const install = (how, more = {}) =>
    attempt(`${title}: installing`, tool.install(node, { cache, ...how }), { cwd: project, env: { ...env, ...more } });

  tool.setUp(project, registry, cache);
  const began = Date.now();
  must(await install({}));
  await check('program.cjs');
  const seconds = (Date.now() - began) / 1000;
  await check('program.mjs');
  if (tool.runtime) for (const file of Object.keys(PROGRAMS)) await check(file, tool.runtime(file));
  const modules = join(project, 'node_modules');
  const weight = existsSync(modules) ? weigh(modules) : undefined;
  say(
    `${title}: ${seconds.toFixed(1)} s to the first prediction` +
      (weight ? `, ${(weight.bytes / 1e6).toFixed(1)} MB, ${(weight.onDisk / 1e6).toFixed(1)} MB in blocks` : ''),
  );
  if (tool.omits !== false) {
    uninstall(project);
    must(await install({ omit: true }));
    const { status, output } = await run('program.cjs');
    if (status === 0 || !/ADDON_NOT_FOUND .*--omit=optional/.test(output))
      throw new Error(`${title}: without optional packages, and it says:\n${output}`);
  }
  return {
    title,
    figures: { seconds, ...weight },
    offline: async () => {
      uninstall(project);
      // Whoever asks a registry ends here.
      must(await install({ offline: true }, tool.envOffline));
      await check('program.cjs');
      await check('program.mjs');
    },
  };
}

/**
 * @param options of tryOne; registry has url and close(); managers and lines, names to be tried
 */
export async function tryInstalls({ registry, managers = Object.keys(MANAGERS), lines = Object.keys(NODES), ...more }) {
  const tried = [];
  const wrong = [];
  // Every one of them, whatever the others do.
  const note = async (work) => {
    try {
      return await work();
    } catch (error) {
      wrong.push(error.message);
      say(`FAIL ${error.message}`);
    }
  };
  for (const line of lines)
    for (const manager of managers) {
      const one = await note(() => tryOne(manager, line, { ...more, registry: registry.url }));
      if (one) tried.push(one);
    }
  await registry.close();
  for (const { title, offline } of tried)
    await note(async () => {
      await offline();
      say(`${title}: offline too`);
    });
  const npm = tried.filter(({ title }) => title.startsWith('npm@')).map(({ figures }) => figures);
  for (const [name, figure, most] of npm.flatMap(({ seconds, bytes }) => [
    ['seconds to the first prediction', seconds, SECONDS],
    ['MB installed', bytes / 1e6, MEGABYTES],
  ]))
    if (figure > most) wrong.push(`npm: ${figure.toFixed(1)} ${name}, more than ${most}`);
  if (wrong.length > 0) fail(`${wrong.length} of the installs failed:\n${wrong.join('\n')}`);
}
