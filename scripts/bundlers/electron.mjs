/**
 * The layout of an Electron application: an archive, app.asar, with addons left beside it, in
 * app.asar.unpacked. It is made and read, not run: Electron's program is in no package of npm.
 * The setting is in docs/bundlers.md.
 */
import { existsSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { fail, say } from '../lib/shell.mjs';
import { PROGRAMS } from '../release/program.mjs';

export const packages = { '@electron/asar': '4.3.2' };

export async function tryIt({ place, platform }) {
  writeFileSync(join(place, 'main.cjs'), PROGRAMS['program.cjs']);
  const { createPackageWithOptions, listPackage, statFile } = await import(
    createRequire(join(place, 'package.json')).resolve('@electron/asar')
  );
  const archive = join(place, '..', 'electron-app', 'app.asar');
  await createPackageWithOptions(place, archive, { unpack: '*.node' });
  const addon = join('node_modules', '@fused-lora', platform, 'fused-lora.node');
  const outside = listPackage(archive, { isPack: false }).filter((file) => statFile(archive, file.slice(1)).unpacked);
  if (!outside.includes(`/${addon}`)) fail(`electron: ${addon} is not among what is unpacked: ${outside.join(', ')}`);
  if (!existsSync(join(`${archive}.unpacked`, addon))) fail(`electron: ${addon} is not in ${archive}.unpacked`);
  say('electron: the addon lies beside the archive (read, not run)');
}
