/**
 * What must be on the machine: Node's version, the compiler and its helpers, installed where root
 * may.
 * Programs are run through shell.mjs.
 */
import { existsSync } from 'node:fs';
import { fail, run, say, which } from './shell.mjs';

const oldestNode = [20, 17];

/** Ends with a clear message on a Node that is too old. */
export function checkNode() {
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
  if (major < oldestNode[0] || (major === oldestNode[0] && minor < oldestNode[1])) {
    fail(`Node ${oldestNode.join('.')} or newer is needed, this is ${process.versions.node}.`);
  }
}

const tools = [
  { package: 'g++', present: () => which('g++') ?? which('clang++') ?? which('c++') },
  { package: 'cmake', present: () => which('cmake') },
  { package: 'ninja-build', present: () => which('ninja') ?? which('make') },
];
/** For nvcc from PyPI. */
const cudaTools = [{ package: 'python3-pip', present: () => hasPip() }];

/** Whether `python3 -m pip` works. */
export function hasPip() {
  return which('python3') !== undefined && run('python3', ['-m', 'pip', '--version'], { quiet: true }).status === 0;
}

/**
 * Installs missing system packages through apt-get when root; otherwise prints the one command that
 * does and ends with exit code 1.
 * @param cuda also what fetching nvcc needs
 */
export function ensureSystemPackages({ cuda = false } = {}) {
  const wanted = cuda ? [...tools, ...cudaTools] : tools;
  const missing = wanted.filter((tool) => !tool.present()).map((tool) => tool.package);
  if (missing.length === 0) return;
  if (!which('apt-get')) {
    fail(`Missing on this machine: ${missing.join(', ')}. Install them (names as in Debian) and start again.`);
  }
  const isRoot = process.getuid?.() === 0;
  const install = `apt-get install -y --no-install-recommends ${missing.join(' ')}`;
  if (!isRoot)
    fail(`Missing system packages. Run this, then start again:\n\n    sudo apt-get update && sudo ${install}\n`);
  say(`installing system packages: ${missing.join(' ')}`);
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
  // A fresh image has no package lists; a machine that has them needs no update.
  let result = run('sh', ['-c', install], { quiet: true, env });
  if (result.status !== 0) result = run('sh', ['-c', `apt-get update && ${install}`], { quiet: true, env });
  if (result.status !== 0) {
    process.stderr.write(result.output);
    fail(`apt-get could not install ${missing.join(' ')}; its output is above.`);
  }
  const still = wanted.filter((tool) => !tool.present()).map((tool) => tool.package);
  if (still.length > 0) fail(`apt-get succeeded, yet these are still missing: ${still.join(', ')}`);
}

/** Where tests look for a browser to open reports in. */
const browsers = ['chromium', 'chromium-browser', 'google-chrome'];

/** Installs a Debian package that some tests need, where that can be done. */
function installForTests(name, debianPackage, seconds, skipped) {
  if (process.getuid?.() !== 0 || !which('apt-get')) return;
  say(`installing ${name}`);
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
  const install = `apt-get install -y --no-install-recommends ${debianPackage}`;
  const { status } = run('sh', ['-c', `${install} || (apt-get update && ${install})`], {
    quiet: true,
    env,
    timeoutMs: 1000 * seconds,
  });
  if (status !== 0) say(`${name} could not be installed: ${skipped} will be skipped`);
}

/** Chromium, in which reports are opened. */
export function installBrowser() {
  if (!browsers.some((name) => which(name))) {
    installForTests('Chromium', 'chromium', 300, 'the tests that open reports');
  }
}

/** An MPI, on which ranks run. */
export function installMpi() {
  if (!which('mpirun')) installForTests('Open MPI', 'openmpi-bin', 120, 'the tests of ranks');
}

/** A short text that changes with the compiler: part of the build stamp. */
export function compilerIdentity() {
  const compiler = process.env.CXX ?? (which('c++') ? 'c++' : 'g++');
  return run(compiler, ['--version'], { quiet: true }).output.split('\n')[0] ?? '';
}

/** Path of nvcc in the places that cmake/Cuda.cmake looks at, or undefined. */
export function findNvcc(root) {
  const homes = [process.env.CUDA_HOME, process.env.CUDA_PATH, '/usr/local/cuda', `${root}/.cache/cuda`];
  const candidates = homes.filter((home) => home).map((home) => `${home}/bin/nvcc`);
  return which('nvcc') ?? candidates.find((file) => existsSync(file));
}
