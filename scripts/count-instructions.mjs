/**
 * Counts the instructions of the innermost loops of products in fp32 and int8, by instruction set,
 * from the object files of a build: what can be said of a processor that is not here. It is no
 * speed: instructions that run side by side, waits and memory are not in it.
 * Usage: node scripts/count-instructions.mjs [build folder]
 * The table that comes of it: docs/quantised-weights.md. The loops: native/cpu/gemm.
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { fail, mustRun, say, which } from './lib/shell.mjs';

/** Of native/cpu/gemm/tile_shape.inc and int8_kernels.h: rows × columns, and k of a loop's turn. */
const TILES = { avx2: [6, 16], avxvnni: [6, 16], avx512: [14, 32], avx512vnni: [14, 32] };
const MULTIPLIES = /\b(vfmadd\d+ps|vpmaddwd|vpdpbusd)\b/;
/** Of k that a register's lane takes at a time. */
const DEPTH = { vfmadd: 1, vpmaddwd: 2, vpdpbusd: 4 };
const LANES = { avx2: 8, avxvnni: 8, avx512: 16, avx512vnni: 16 };

/** [address, text] of each instruction. */
function instructionsOf(object) {
  const listing = mustRun('objdump', 'objdump', ['-d', '--no-show-raw-insn', object]);
  return [...listing.matchAll(/^ *([0-9a-f]+):\t(.*)$/gm)].map(([, address, text]) => [
    Number.parseInt(address, 16),
    text,
  ]);
}

/** The loop without another jump that multiplies most: that of the largest tile. */
function innermost(instructions) {
  const places = new Map(instructions.map(([address], i) => [address, i]));
  let best = [];
  const multiplies = (body) => body.filter((text) => MULTIPLIES.test(text)).length;
  instructions.forEach(([, text], end) => {
    const target = /^j\w+ +([0-9a-f]+)/.exec(text)?.[1];
    const begin = target === undefined ? undefined : places.get(Number.parseInt(target, 16));
    if (begin === undefined || begin >= end) return;
    const body = instructions.slice(begin, end + 1).map(([, each]) => each);
    if (body.slice(0, -1).some((each) => each.startsWith('j'))) return;
    if (multiplies(body) > multiplies(best)) best = body;
  });
  return {
    all: best.length,
    multiplies: multiplies(best),
    by: MULTIPLIES.exec(best.find((text) => MULTIPLIES.test(text)) ?? '')?.[1],
  };
}

const folder = process.argv[2] ?? 'build';
if (!which('objdump')) fail('objdump was not found (Debian package binutils)');
say(
  'instruction set, product: tile, its multiply instructions and all instructions for 4 of k, multiply-adds an instruction',
);
let found = 0;
for (const [isa, [rows, columns]] of Object.entries(TILES)) {
  for (const [product, file] of [
    ['fp32', 'gemm_f32'],
    ['int8', 'gemm_int8'],
  ]) {
    const object = join(folder, 'CMakeFiles', `fused_lora_cpu_${isa}.dir`, 'native/cpu/gemm', `${file}.cc.o`);
    if (!existsSync(object)) continue;
    const { all, multiplies, by } = innermost(instructionsOf(object));
    if (by === undefined) fail(`${object} holds no loop with products; were its kernels changed?`);
    found += 1;
    // Of k in a turn: what the multiplies do over what the tile has.
    const depth = DEPTH[by.startsWith('vfmadd') ? 'vfmadd' : by];
    const k = (multiplies * LANES[isa] * depth) / (rows * columns);
    const ofFour = (count) => Number(((4 * count) / k).toFixed(1));
    say(
      `${isa} ${product}: ${rows} × ${columns}, ${ofFour(multiplies)} ${by}, ${ofFour(all)}, ${((rows * columns * k) / all).toFixed(1)}`,
    );
  }
}
if (found === 0) fail(`${folder} holds no object files of products: node scripts/cmake-build.mjs makes them.`);
