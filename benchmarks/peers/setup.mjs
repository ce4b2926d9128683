/**
 * Sets up what fused-lora is measured against: the Python peers (requirements.txt) in .cache/peers,
 * a virtual environment of their own, and the npm peers (package.json) in
 * benchmarks/peers/node_modules. Both are ignored by git; what is there already is left as it is.
 * Usage: npm run bench:peers -- [--python PYTHON] [--only python|node]
 * Who starts them: lib/sides.ts.
 */
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { fail, mustRun, root, run, say, which } from '../../scripts/lib/shell.mjs';
import { contentHash, isFresh, writeStamp } from '../../scripts/lib/stamp.mjs';

const { values } = parseArgs({ options: { python: { type: 'string' }, only: { type: 'string' } } });
if (values.only !== undefined && !['python', 'node'].includes(values.only)) {
  fail(`--only ${values.only}: it must be python or node.`);
}

const here = dirname(fileURLToPath(import.meta.url));
const environment = join(root, '.cache', 'peers');
const python = join(environment, 'bin', 'python');

if (values.only !== 'node') setUpPython();
if (values.only !== 'python') setUpNode();
say('the peers are ready');

/** A Python that PyTorch has wheels for, with venv. */
function findPython() {
  const names = values.python ? [values.python] : ['python3.12', 'python3.11', 'python3.13', 'python3.10', 'python3'];
  const check = 'import sys, venv, ensurepip; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 13))';
  const found = names.find((name) => which(name) && run(which(name), ['-c', check], { quiet: true }).status === 0);
  if (!found) {
    fail(
      `none of ${names.join(', ')} is a Python 3.10 to 3.13 with venv (Debian: apt-get install python3-venv). Name one with --python.`,
    );
  }
  return which(found);
}

function setUpPython() {
  const stamp = '.cache/stamp-peers-python.json';
  const requirements = 'benchmarks/peers/requirements.txt';
  const hash = contentHash([requirements]);
  if (!isFresh(stamp, hash, ['.cache/peers/bin/python'])) {
    if (!existsSync(python)) mustRun('Making a virtual environment', findPython(), ['-m', 'venv', environment]);
    say(
      "installing PyTorch, transformers and PEFT in .cache/peers (PyTorch's package for Linux brings CUDA: about 6 GB)",
    );
    const { status } = run(python, [
      '-m',
      'pip',
      'install',
      '--disable-pip-version-check',
      '-r',
      join(root, requirements),
    ]);
    if (status !== 0) fail('pip failed, see above.');
    writeStamp(stamp, hash, ['.cache/peers/bin/python']);
  }
  const versions =
    'import torch, transformers, peft; print("PyTorch", torch.__version__, "transformers", transformers.__version__, "PEFT", peft.__version__)';
  say(mustRun('Importing the Python peers', python, ['-c', versions]).trim());
}

function setUpNode() {
  const stamp = '.cache/stamp-peers-node.json';
  const names = Object.keys(JSON.parse(readFileSync(join(here, 'package.json'), 'utf8')).dependencies);
  const outputs = names.map((name) => `benchmarks/peers/node_modules/${name}/package.json`);
  const hash = contentHash(['benchmarks/peers/package.json', 'benchmarks/peers/package-lock.json']);
  if (!isFresh(stamp, hash, outputs)) {
    say('installing onnxruntime-node and transformers.js in benchmarks/peers/node_modules');
    // Without scripts: onnxruntime-node's would download
    // libraries for GPUs; the one for the CPU is in its package.
    mustRun('npm', 'npm', ['install', '--no-save', '--ignore-scripts', '--no-audit', '--no-fund'], { cwd: here });
    writeStamp(stamp, hash, outputs);
  }
  const load = `for (const name of ${JSON.stringify(names)}) await import(name);`;
  mustRun('Loading the npm peers', process.execPath, ['--input-type=module', '--eval', load], { cwd: here });
  const versionOf = (name) =>
    JSON.parse(readFileSync(join(here, 'node_modules', name, 'package.json'), 'utf8')).version;
  say(names.map((name) => `${name} ${versionOf(name)}`).join(' '));
}
