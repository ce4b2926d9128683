/**
 * Vite's build for servers, which leaves dependencies outside by itself; and with all of them
 * inside. rollup by itself: rollup.mjs.
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { PROGRAMS } from '../release/program.mjs';

export const packages = { vite: '8.4.0' };

export function tryIt({ place, start, check }) {
  writeFileSync(join(place, 'program.mjs'), PROGRAMS['program.mjs']);
  for (const [what, settings] of [
    ['as it comes', ''],
    ['inside the bundle', 'ssr: { noExternal: true },'],
  ]) {
    const config = `export default { logLevel: 'error', build: { ssr: 'program.mjs', outDir: 'out' }, ${settings} };\n`;
    writeFileSync(join(place, 'vite.config.mjs'), config);
    start(what, ['node_modules/vite/bin/vite.js', 'build']);
    check(what, [process.execPath, 'out/program.mjs'], place);
  }
}
