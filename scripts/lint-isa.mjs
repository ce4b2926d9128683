/**
 * Checks that object files compiled for more than the baseline (the object libraries
 * fused_lora_cpu_avx… and _amx of cmake/CpuVariants.cmake) hold no weak symbols. A weak symbol is
 * an inline function or template instance that other files have too: the linker keeps any one copy
 * for all, and the AVX-512 copy ends the program on an older CPU.
 * Remedy: keep helpers of such a file `static` or in an anonymous namespace, and take nothing but
 * types and constants from shared headers.
 * Usage: node scripts/lint-isa.mjs [build folder]
 * Flags by instruction set: cmake/CompileFlags.cmake.
 */
import { existsSync } from 'node:fs';
import { relative } from 'node:path';
import { fail, mustRun, root, which } from './lib/shell.mjs';
import { listFiles } from './lib/stamp.mjs';

const folder = process.argv[2] ?? 'build';
const built = listFiles([folder]).filter((file) => /\/fused_lora_\w+\.dir\/.*\.o$/.test(file) && existsSync(file));
const objects = built.filter((file) => /\/fused_lora_cpu_(avx|amx)\w*\.dir\//.test(file));
// On x86-64 every build has them: none found means that this lint looks in the wrong place.
if (built.length > 0 && objects.length === 0 && process.arch === 'x64')
  fail(`${folder} holds no object file of fused_lora_cpu_avx…; was the native build changed?`);
if (objects.length > 0 && !which('nm')) fail('nm was not found (Debian package binutils)');

let weak = 0;
for (const object of objects) {
  const symbols = mustRun('nm', 'nm', ['--demangle', '--defined-only', object]);
  for (const line of symbols.split('\n')) {
    const match = /^[0-9a-f]+ [VWu] (.*)$/.exec(line);
    // Type descriptions hold no instructions.
    if (!match || /^(typeinfo|vtable)/.test(match[1])) continue;
    weak += 1;
    console.error(`${relative(root, object)}: weak symbol ${match[1]}`);
  }
}
if (weak > 0) {
  console.error(`${weak} inline function(s) compiled for a newer CPU could be kept for the whole program`);
  process.exit(1);
}
