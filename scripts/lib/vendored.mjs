/**
 * Big libraries of which little is used: that part of them, as one file below dist/vendor, with
 * the licences of what is in it. Made by scripts/build-ts.mjs; held to the list of licences by
 * scripts/lint-licences.mjs. Why: docs/decisions.md, "Package".
 */
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join, relative, sep } from 'node:path';
import { fail, root } from './shell.mjs';

/**
 * Package → the names that src takes from it, and the file that has them. Of one that is used as
 * members of a name (`under`), those are found in the compiled files.
 */
export const VENDORED = {
  '@huggingface/hub': { names: ['datasetInfo', 'downloadFile', 'listFiles', 'modelInfo'], file: 'huggingface_hub.js' },
  zod: { under: 'z', file: 'zod.js' },
};

/** The folder of the package that a file of node_modules belongs to, relative to the root. */
function packageFolder(input) {
  const [, name] = /.*node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(input) ?? [];
  return name && input.slice(0, input.lastIndexOf(`node_modules/${name}/`)) + join('node_modules', name);
}

function licenceOf(folder) {
  const { name, version, license, author } = JSON.parse(readFileSync(join(root, folder, 'package.json'), 'utf8'));
  const file = readdirSync(join(root, folder)).find((entry) => /^licen[cs]e/i.test(entry));
  const by = typeof author === 'object' ? author.name : author;
  const text = file
    ? readFileSync(join(root, folder, file), 'utf8').trim()
    : `${license}, as its package.json says; it comes without the text.${by ? ` By ${by}.` : ''}`;
  return `${name} ${version}\n\n${text}\n`;
}

/** What compiled files take from an imported object: `zod_1.z.string` gives string. */
function membersOf(folder, object) {
  const found = new Set();
  for (const entry of readdirSync(folder, { recursive: true })) {
    if (!entry.endsWith('.js') || entry.startsWith(`vendor${sep}`)) continue;
    const text = readFileSync(join(folder, entry), 'utf8');
    for (const [, member] of text.matchAll(new RegExp(`\\b\\w+_\\d+\\.${object}\\s*\\.\\s*(\\w+)`, 'g')))
      found.add(member);
  }
  return [...found].sort();
}

/** Bundles them into `folder`/vendor, and makes the compiled files below it ask for that. */
export function vendor(folder) {
  const { buildSync } = createRequire(import.meta.url)('esbuild');
  const place = join(folder, 'vendor');
  mkdirSync(place, { recursive: true });
  const licences = new Set();
  for (const [name, { names, under, file }] of Object.entries(VENDORED)) {
    const members = under && membersOf(folder, under).map((one) => `${one}: all.${one}`);
    const contents = under
      ? `import * as all from '${name}';\nexport const ${under} = { ${members.join(', ')} };\n`
      : `export { ${names.join(', ')} } from '${name}';\n`;
    const { metafile } = buildSync({
      stdin: { contents, resolveDir: root },
      ...{ bundle: true, platform: 'node', target: 'node20', format: 'cjs', metafile: true },
      absWorkingDir: root,
      preserveSymlinks: true,
      outfile: join(place, file),
    });
    const [{ inputs }] = Object.values(metafile.outputs);
    for (const [input, { bytesInOutput }] of Object.entries(inputs)) {
      const from = packageFolder(input);
      if (from && bytesInOutput > 0) licences.add(from);
    }
  }
  writeFileSync(join(place, 'LICENSES.txt'), [...licences].sort().map(licenceOf).join('\n---\n\n'));
  const left = new Set(Object.keys(VENDORED));
  for (const entry of readdirSync(folder, { recursive: true })) {
    if (!entry.endsWith('.js') || entry.startsWith(`vendor${sep}`)) continue;
    const path = join(folder, entry);
    const text = readFileSync(path, 'utf8');
    const changed = text.replace(/\b(require|import)\((["'])([^"']+)\2\)/g, (whole, how, _, name) => {
      if (!(name in VENDORED)) return whole;
      left.delete(name);
      const to = relative(dirname(path), join(place, VENDORED[name].file)).split(sep).join('/');
      return `${how}('${to.startsWith('.') ? to : `./${to}`}')`;
    });
    if (changed !== text) writeFileSync(path, changed);
  }
  if (left.size > 0) fail(`no compiled file asks for ${[...left].join(', ')}: take it from scripts/lib/vendored.mjs`);
}
