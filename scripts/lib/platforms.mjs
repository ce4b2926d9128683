/**
 * The platforms that have a package, and what its binary may ask of a machine: used by
 * scripts/packages.mjs, which builds them, and scripts/test-platform.mjs, which runs them. Their
 * compilers are in cmake/toolchains; who chooses one at run time is src/load_addon.ts.
 */

/** The oldest glibc: that of Node 20's own binaries. */
export const GLIBC = '2.28';

const GLIBC_LIBRARIES = ['libc.so.6', 'libdl.so.2', 'libm.so.6', 'libpthread.so.0', 'librt.so.1'];
const WINDOWS_LIBRARIES = [/^kernel32\.dll$/i, /^ntdll\.dll$/i, /^api-ms-win-crt-[a-z]+-l1-1-0\.dll$/i, /^node\.exe$/i];

/**
 * name → what package.json says of it (os, cpu, libc), how its binary is built, and the limits.
 *   libraries  names, or patterns of names, that it may need; nothing else
 *   most       bytes of the tarball
 */
export const PLATFORMS = {
  'linux-x64': {
    title: 'Linux on x86-64, glibc 2.28 or newer',
    os: 'linux',
    cpu: 'x64',
    libc: 'glibc',
    libraries: [...GLIBC_LIBRARIES, 'ld-linux-x86-64.so.2'],
    most: 6e6,
  },
  'linuxmusl-x64': {
    title: 'Linux on x86-64 with musl, such as Alpine',
    os: 'linux',
    cpu: 'x64',
    libc: 'musl',
    libraries: ['libc.so'],
    most: 6e6,
  },
  'linux-arm64': {
    title: 'Linux on 64-bit ARM, glibc 2.28 or newer',
    os: 'linux',
    cpu: 'arm64',
    libc: 'glibc',
    libraries: [...GLIBC_LIBRARIES, 'ld-linux-aarch64.so.1'],
    most: 6e6,
  },
  'linuxmusl-arm64': {
    title: 'Linux on 64-bit ARM with musl, such as Alpine',
    os: 'linux',
    cpu: 'arm64',
    libc: 'musl',
    libraries: ['libc.so'],
    most: 6e6,
  },
  'darwin-arm64': {
    title: 'macOS 11 or newer on Apple silicon',
    os: 'darwin',
    cpu: 'arm64',
    libraries: ['/usr/lib/libSystem.B.dylib'],
    most: 6e6,
  },
  'darwin-x64': {
    title: 'macOS 11 or newer on Intel',
    os: 'darwin',
    cpu: 'x64',
    libraries: ['/usr/lib/libSystem.B.dylib'],
    most: 6e6,
  },
  'win32-x64': {
    title: 'Windows 10 or newer on x86-64',
    os: 'win32',
    cpu: 'x64',
    libraries: WINDOWS_LIBRARIES,
    most: 6e6,
  },
  'linux-x64-cuda': {
    title: 'Linux on x86-64, glibc 2.28 or newer, with kernels for NVIDIA GPUs',
    os: 'linux',
    cpu: 'x64',
    libc: 'glibc',
    cuda: true,
    libraries: [...GLIBC_LIBRARIES, 'ld-linux-x86-64.so.2', 'libgcc_s.so.1'],
    most: 25e6,
  },
};

/** Those that are installed with the main package where they fit; the others are asked for. */
export const BY_DEFAULT = Object.keys(PLATFORMS).filter((name) => !PLATFORMS[name].cuda);

export const packageOf = (name) => `@fused-lora/${name}`;
