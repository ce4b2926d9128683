/**
 * Checks the machine code of the Hopper kernels, where a build has it: tensor-core instructions of
 * their own (HGMMA) in unbroken groups, the copy engine in both directions (UTMALDG, UTMASTG), no
 * local memory (LDL, STL), registers within what setmaxnreg hands out. wgmma that the assembler has
 * to serialise, because sums are touched between products, shows as groups of one.
 * Usage: node scripts/lint-sass.mjs [build folder]; says
 * what it skips where there is no cuobjdump or no CUDA code.
 * The kernels: native/cuda/hopper.
 */
import { existsSync } from 'node:fs';
import { delimiter, dirname, join, relative } from 'node:path';
import { root, run, say, which } from './lib/shell.mjs';
import { listFiles } from './lib/stamp.mjs';

const folder = process.argv[2] ?? 'build';
/** Registers a thread at entry: 65,536 over 384 threads, in eights. */
const MOST_REGISTERS = 168;
/** Products of one slab: four steps of 16. */
const STEPS = 4;

const wheels = join(root, '.cache/cuda/bin/cuobjdump');
const cuobjdump = existsSync(wheels) ? wheels : which('cuobjdump');
const objects = listFiles([folder]).filter(
  (file) => /native\/cuda\/hopper\/\w+\.cu\.o$/.test(file) && existsSync(file),
);
if (objects.length === 0) {
  say(`skip machine code: no CUDA build in ${folder}`);
} else if (!cuobjdump) {
  say('skip machine code: no cuobjdump (node scripts/setup-cuda.mjs brings it)');
} else {
  for (const object of objects) checkObject(object);
}

function dump(option, object) {
  // It calls nvdisasm, which lies beside it.
  const env = { ...process.env, PATH: `${dirname(cuobjdump)}${delimiter}${process.env.PATH ?? ''}` };
  const { status, output } = run(cuobjdump, [option, '-arch', 'sm_90a', object], { quiet: true, env });
  if (status !== 0) complain(relative(root, object), `cuobjdump ${option} failed: ${output.trim().split('\n').at(-1)}`);
  return output;
}

function complain(what, message) {
  console.error(`${what}: ${message}`);
  process.exitCode = 1;
}

function checkObject(object) {
  const registers = new Map();
  for (const [, name, usage] of dump('-res-usage', object).matchAll(/Function (\S+?):\s+(REG:.*)/g))
    registers.set(name, Number(/REG:(\d+)/.exec(usage)?.[1]));
  let kernels = 0;
  for (const part of dump('-sass', object)
    .split(/^\s*Function : /m)
    .slice(1)) {
    const [name, ...lines] = part.split('\n');
    if (!/loraGemm/.test(name)) continue;
    kernels += 1;
    // An instruction: `/*0120*/  @P0 HGMMA.64x192x16.F32.BF16 R24, gdesc[UR4], …`.
    const opcodes = lines.flatMap(
      (line) => /^\s+\/\*[0-9a-f]{4,}\*\/\s+(?:@!?U?P\w+\s+)?([A-Z][\w.]*)/.exec(line)?.[1] ?? [],
    );
    const count = (opcode) => opcodes.filter((o) => o === opcode || o.startsWith(`${opcode}.`)).length;
    if (count('HGMMA') < STEPS) complain(name, `${count('HGMMA')} HGMMA instructions, expected at least ${STEPS}`);
    if (count('UTMALDG') < 2) complain(name, 'operands are not brought by the copy engine (UTMALDG)');
    if (count('UTMASTG') < 1) complain(name, 'results do not leave through the copy engine (UTMASTG)');
    if (count('LDL') + count('STL') > 0) complain(name, `${count('LDL') + count('STL')} accesses of local memory`);
    if (longestGroup(opcodes) < STEPS)
      complain(name, `wgmma is serialised: groups of ${longestGroup(opcodes)} products`);
    if (!(registers.get(name) <= MOST_REGISTERS))
      complain(name, `${registers.get(name)} registers, at most ${MOST_REGISTERS}`);
  }
  if (kernels === 0) complain(relative(root, object), 'no Hopper kernel in it');
  else say(`machine code: ${kernels} Hopper kernels in ${relative(root, object)}`);
}

/** Most products that follow each other with no wait between them. */
function longestGroup(opcodes) {
  let longest = 0;
  let group = 0;
  for (const opcode of opcodes) {
    if (opcode.startsWith('HGMMA')) longest = Math.max(longest, ++group);
    else if (opcode.startsWith('WARPGROUP.DEPBAR')) group = 0;
  }
  return longest;
}
