/**
 * Lets the linker see an older glibc: stubs of libc and libm that have, of every
 * symbol, the newest version that is not newer than wanted. A binary linked
 * against them asks for those versions, which every later glibc still has. Symbols
 * that came later stay undefined, and check-binary.mjs refuses a binary with such.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { mustRun } from './shell.mjs';

/** [2, 17] < [2, 28] */
export function compareVersions(a, b) {
  const [x, y] = [a, b].map((version) => version.split('.').map(Number));
  for (let i = 0; i < Math.max(x.length, y.length); i++) {
    const difference = (x[i] ?? 0) - (y[i] ?? 0);
    if (difference !== 0) return difference;
  }
  return 0;
}

/** Dynamic symbols of a library or addon: { name, version, defined, object, weak } */
export function dynamicSymbols(file) {
  return mustRun('Reading symbols', 'objdump', ['-T', file])
    .split('\n')
    .flatMap((line) => {
      const match =
        /^[0-9a-f]{16} (.{7}) (\S+)\s+[0-9a-f]+\s+(?:\(?([A-Z]+_[0-9.A-Z_]+)\)?\s+)?(?:\.hidden )?(\S+)$/.exec(line);
      if (!match) return [];
      const [, flags, section, version, name] = match;
      return [{ name, version, defined: section !== '*UND*', object: flags.includes('O'), weak: flags.includes('w') }];
    });
}

/** Makes a stub of `library` (libc.so.6) in `folder`; returns its path. */
function makeStub(folder, library, wanted) {
  const real = mustRun('Finding the C library', 'gcc', [`-print-file-name=${library}`]).trim();
  const chosen = new Map();
  for (const { name, version, defined, object } of dynamicSymbols(real)) {
    if (!defined || name.startsWith('GLIBC_') || !/^GLIBC_[0-9.]+$/.test(version ?? '')) continue;
    const number = version.slice('GLIBC_'.length);
    if (compareVersions(number, wanted) > 0) continue;
    const known = chosen.get(name);
    if (!known || compareVersions(known.number, number) < 0) chosen.set(name, { number, object });
  }
  const lines = [];
  [...chosen].forEach(([name, { number, object }], i) => {
    lines.push(
      object ? '.data' : '.text',
      `.globl stub_${i}`,
      `.type stub_${i}, ${object ? '@object' : '@function'}`,
      `stub_${i}: .quad 0`,
      `.size stub_${i}, 8`,
      `.symver stub_${i}, ${name}@@GLIBC_${number}, remove`,
    );
  });
  lines.push('.section .note.GNU-stack,"",@progbits', '');
  const versions = [...new Set([...chosen.values()].map(({ number }) => number))].sort(compareVersions);
  const at = (suffix) => join(folder, `${library}${suffix}`);
  writeFileSync(at('.s'), lines.join('\n'));
  writeFileSync(at('.map'), `${versions.map((number) => `GLIBC_${number} { };`).join('\n')}\n`);
  mustRun('Linking a stub', 'gcc', [
    ...['-shared', '-nostdlib', `-Wl,-soname,${library}`, `-Wl,--version-script=${at('.map')}`],
    ...['-o', at(''), at('.s')],
  ]);
  return at('');
}

/**
 * Makes stubs of libc and libm in `folder`, to be given to the linker as -L.
 * @param wanted a glibc version, 2.28
 */
export function makeGlibcStubs(folder, wanted) {
  mkdirSync(folder, { recursive: true });
  const libc = makeStub(folder, 'libc.so.6', wanted);
  const libm = makeStub(folder, 'libm.so.6', wanted);
  const nonshared = mustRun('Finding libc_nonshared.a', 'gcc', ['-print-file-name=libc_nonshared.a']).trim();
  const loader = mustRun('Finding the loader', 'gcc', ['-print-file-name=ld-linux-x86-64.so.2']).trim();
  writeFileSync(join(folder, 'libc.so'), `GROUP ( ${libc} ${nonshared} AS_NEEDED ( ${loader} ) )\n`);
  writeFileSync(join(folder, 'libm.so'), `GROUP ( ${libm} )\n`);
}
