/**
 * esbuild, into CommonJS with no setting, and into ESM with `require` from a banner.
 * What a program must print is in scripts/release/program.mjs.
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { PROGRAMS } from '../release/program.mjs';

export const packages = { esbuild: '0.28.2' };
const BANNER = "import { createRequire } from 'node:module'; const require = createRequire(import.meta.url);";

export function tryIt({ place, start, check }) {
  writeFileSync(join(place, 'program.mjs'), PROGRAMS['program.mjs']);
  const bundle = ['program.mjs', '--bundle', '--platform=node', '--log-level=error'];
  for (const [format, file, ...settings] of [
    ['cjs', 'out/bundle.cjs'],
    ['esm', 'out/bundle.mjs', `--banner:js=${BANNER}`],
  ]) {
    start(`into ${format}`, [
      'node_modules/esbuild/bin/esbuild',
      ...bundle,
      `--format=${format}`,
      `--outfile=${file}`,
      ...settings,
    ]);
    check(`into ${format}`, [process.execPath, file], place);
  }
}
