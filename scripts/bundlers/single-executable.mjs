/**
 * Node's single executable: one program that has a bundle in it, with the addon beside it.
 * The bundle is esbuild's, as in esbuild.mjs.
 */
import { chmodSync, copyFileSync, cpSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { PROGRAMS } from '../release/program.mjs';

export const packages = { esbuild: '0.28.2', postject: '1.0.0-alpha.6' };
const FUSE = 'NODE_SEA_FUSE_fce680ab2cc467b6e072b8b5df1996b2';

export function tryIt({ place, start, check, platform }) {
  writeFileSync(join(place, 'program.mjs'), PROGRAMS['program.mjs']);
  const bundle = [
    'program.mjs',
    '--bundle',
    '--platform=node',
    '--format=cjs',
    '--outfile=bundle.cjs',
    '--log-level=error',
  ];
  start('bundling', ['node_modules/esbuild/bin/esbuild', ...bundle]);
  const config = { main: 'bundle.cjs', output: 'bundle.blob', disableExperimentalSEAWarning: true };
  writeFileSync(join(place, 'sea.json'), JSON.stringify(config));
  start('making the blob', ['--experimental-sea-config', 'sea.json']);
  // Away from node_modules: what a user gets is this folder.
  const folder = join(place, '..', 'single-executable-app');
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  const program = join(folder, 'app');
  copyFileSync(process.execPath, program);
  chmodSync(program, 0o755);
  const inject = [program, 'NODE_SEA_BLOB', 'bundle.blob', '--sentinel-fuse', FUSE];
  start('putting it into Node', ['node_modules/postject/dist/cli.js', ...inject]);
  cpSync(join(place, 'node_modules', '@fused-lora', platform, 'fused-lora.node'), join(folder, 'fused-lora.node'));
  check('with the addon beside it', [program], folder);
}
