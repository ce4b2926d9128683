/**
 * rollup with fused-lora left outside as `external`.
 * Vite, which builds on the like: vite.mjs.
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { PROGRAMS } from '../release/program.mjs';

export const packages = { rollup: '4.68.8' };

export function tryIt({ place, start, check }) {
  writeFileSync(join(place, 'program.mjs'), PROGRAMS['program.mjs']);
  for (const [format, file] of [
    ['es', 'out/bundle.mjs'],
    ['cjs', 'out/bundle.cjs'],
  ]) {
    const args = [
      '--input',
      'program.mjs',
      '--format',
      format,
      '--file',
      file,
      '--external',
      'fused-lora,fused-lora/kernels',
    ];
    start(`into ${format}`, ['node_modules/rollup/dist/bin/rollup', '--silent', ...args]);
    check(`left outside, into ${format}`, [process.execPath, file], place);
  }
}
