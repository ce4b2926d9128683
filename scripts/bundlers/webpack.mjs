/**
 * webpack for Node, with fused-lora left outside as `externals`; and inside, where that works.
 * The page about it: docs/bundlers.md.
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { PROGRAMS } from '../release/program.mjs';

export const packages = { webpack: '5.113.0' };

/** In a process of its own, which webpack's plugins may end. */
const BUILD = (settings) => `
const webpack = require('webpack');
webpack({
  target: 'node',
  mode: 'production',
  entry: './program.mjs',
  output: { path: __dirname + '/out', filename: 'bundle.cjs', clean: true },
  ${settings}
}, (error, stats) => {
  if (error || stats.hasErrors()) {
    console.error(error ?? stats.toString());
    process.exitCode = 1;
  }
});
`;

export function tryIt({ place, start, check }) {
  writeFileSync(join(place, 'program.mjs'), PROGRAMS['program.mjs']);
  for (const [what, settings] of [
    ['inside the bundle', ''],
    ['left outside', "externalsType: 'commonjs', externals: [/^fused-lora/],"],
  ]) {
    writeFileSync(join(place, 'build.cjs'), BUILD(settings));
    start(what, ['build.cjs']);
    check(what, [process.execPath, 'out/bundle.cjs'], place);
  }
}
