/**
 * Ends the process where the addon of a platform asks a machine for more than platforms.mjs allows,
 * shows more than a module's entry, or lacks what it should hold. It is read by inspect-binary.py.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gpuCode } from './fatbin.mjs';
import { compareVersions } from './glibc-stubs.mjs';
import { GLIBC, PLATFORMS } from './platforms.mjs';
import { fail, mustRun, root, say } from './shell.mjs';

const ENTRIES = ['napi_register_module_v1', 'node_api_module_get_api_version_v1'];
const MACHINES = {
  linux: { x64: 'X86_64', arm64: 'AARCH64' },
  darwin: { x64: 'X86_64', arm64: 'ARM64' },
  win32: { x64: 'AMD64' },
};
const FORMATS = { linux: 'ELF', darwin: 'Mach-O', win32: 'PE' };
/** Shown by every library that zig links, and looked up by none: each has its own. */
const OF_ZIG = ['___dso_handle', '__mh_dylib_header'];
/** Of dyld since macOS 11. LOAD_DYLINKER is asked for in programs alone; zig writes it always. */
const LOAD_COMMANDS = new Set([
  ...['SEGMENT_64', 'ID_DYLIB', 'LOAD_DYLIB', 'UUID', 'BUILD_VERSION', 'SOURCE_VERSION', 'CODE_SIGNATURE'],
  ...['SYMTAB', 'DYSYMTAB', 'DYLD_INFO_ONLY', 'DYLD_CHAINED_FIXUPS', 'DYLD_EXPORTS_TRIE', 'FUNCTION_STARTS'],
  ...['DATA_IN_CODE', 'LOAD_DYLINKER'],
]);
/** The oldest macOS: that of Node 20. */
const MACOS = '11.0';

/** @param tools folder of setup-packaging.mjs */
export function inspectBinary(file, tools) {
  const env = { ...process.env, PYTHONPATH: tools };
  return JSON.parse(
    mustRun('Reading the addon', 'python3', [join(root, 'scripts/lib/inspect-binary.py'), file], { env }),
  );
}

export function checkBinary(name, file, tools, cudaArchitectures) {
  const { os, cpu, libc, libraries, cuda } = PLATFORMS[name];
  const found = inspectBinary(file, tools);
  const must = (ok, message) => {
    if (!ok) fail(`${file}: ${message}`);
  };
  must(found.format === FORMATS[os] && found.machine === MACHINES[os][cpu], `is ${found.format} for ${found.machine}`);
  const foreign = found.libraries.filter(
    (library) => !libraries.some((known) => (typeof known === 'string' ? known === library : known.test(library))),
  );
  must(foreign.length === 0, `needs ${foreign.join(', ')}, which not every machine has`);
  const exported = found.exported.map((symbol) => symbol.replace(/^_(?=n)/, ''));
  const shown = exported.filter((symbol) => !ENTRIES.includes(symbol) && !(os === 'darwin' && OF_ZIG.includes(symbol)));
  must(shown.length === 0, `shows ${shown.slice(0, 5).join(', ')}; only the module's entry may be seen`);
  must(
    ENTRIES.every((entry) => exported.includes(entry)),
    `has no ${ENTRIES.join(' or ')}`,
  );
  must(found.stripped, 'is not stripped');
  // cmake/NodeApi.cmake says why.
  must(os !== 'linux' || found.stays, 'is unloaded with its last worker: it was not linked with -z nodelete');
  const facts = [`libraries: ${found.libraries.join(', ') || 'none'}`];
  if (libc === 'glibc') facts.push(checkGlibc(found, must));
  if (os === 'darwin') facts.push(checkMacos(found, cpu, must));
  if (cuda) facts.push(checkCuda(file, cudaArchitectures, must));
  say(`${name}: ${facts.join('; ')}`);
}

function checkGlibc(found, must) {
  const versions = Object.values(found.versions)
    .flat()
    .flatMap((version) => (version.startsWith('GLIBC_') ? [version.slice(6)] : []));
  const newest = versions.sort(compareVersions).at(-1) ?? '0';
  must(compareVersions(newest, GLIBC) <= 0, `needs glibc ${newest}, newer than ${GLIBC}`);
  // Without a version: found in Node itself, or in nothing that is known.
  const strange = found.imported.filter(
    ({ name, version, weak }) => !weak && version === null && !/^(napi|node_api)_/.test(name),
  );
  must(strange.length === 0, `needs ${strange.map(({ name }) => name).join(', ')}, which glibc ${GLIBC} does not have`);
  return `glibc ${newest} or newer`;
}

function checkMacos({ kind, minimum, signature, commands, imported, coalesced }, cpu, must) {
  must(kind === 'DYLIB', `is a ${kind}, no library`);
  must(minimum !== null && compareVersions(minimum, MACOS) <= 0, `needs macOS ${minimum}`);
  must(signature !== null || cpu !== 'arm64', 'has no signature: macOS on ARM loads none');
  must(
    !signature || (signature.adHoc && signature.valid && signature.covers),
    `its signature: ${JSON.stringify(signature)}`,
  );
  const strange = imported.filter(({ name, version }) => version === null && !/^_(napi|node_api)_/.test(name));
  must(strange.length === 0, `looks for ${strange.map(({ name }) => name).join(', ')} in the running program`);
  // Types of exceptions may be another library's of the same name. libc++'s functions may not: they
  // would be the system's, with exceptions of types that are not caught here.
  const taken = coalesced.filter((name) => !name.startsWith('__ZTI'));
  must(taken.length === 0, `would take ${taken.join(', ')} from other libraries`);
  const left = commands.filter((command) => !LOAD_COMMANDS.has(command));
  must(left.length === 0, `has the load commands ${left.join(', ')}`);
  // zig signs for ARM alone; on Intel macOS asks for no signature.
  const signed = signature ? 'signed ad hoc' : 'not signed';
  return `macOS ${minimum} or newer, ${signed}, load commands: ${commands.join(' ')}`;
}

function checkCuda(file, architectures, must) {
  const code = gpuCode(file);
  const wanted = [...architectures.map((architecture) => `sm_${architecture}`), `compute_${architectures[0]}`];
  const missing = wanted.filter((name) => !code.has(name));
  must(missing.length === 0, `has no code for ${missing.join(', ')}; it has ${[...code].join(', ')}`);
  const text = readFileSync(file);
  // The static CUDA runtime opens the driver by name; nothing else of CUDA's is asked for.
  must(text.includes('libcuda.so.1'), 'has no static CUDA runtime in it');
  must(!text.includes('libcublas'), 'names cuBLAS, which no kernel may need');
  return `GPU code: ${[...code].sort().join(', ')}`;
}
