/**
 * A registry that serves the packages of this checkout's node_modules, so that npm can install a
 * tarball with its dependencies as it does at a user's place, with no network.
 */
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import * as fs from 'node:fs';
import * as http from 'node:http';
import type { AddressInfo } from 'node:net';
import * as os from 'node:os';
import * as path from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);

interface PackageJson {
  name: string;
  version: string;
  [field: string]: unknown;
}

/** Every installed version of every package below `modules`, nested ones too. */
function installedPackages(modules: string): Map<string, { json: PackageJson; dir: string }[]> {
  const found = new Map<string, { json: PackageJson; dir: string }[]>();
  const visit = (folder: string) => {
    for (const name of fs.readdirSync(folder)) {
      if (name.startsWith('.')) continue;
      const dir = path.join(folder, name);
      if (name.startsWith('@')) {
        visit(dir);
        continue;
      }
      const file = path.join(dir, 'package.json');
      if (!fs.existsSync(file)) continue;
      const json = JSON.parse(fs.readFileSync(file, 'utf8')) as PackageJson;
      found.set(json.name, [...(found.get(json.name) ?? []), { json, dir }]);
      const nested = path.join(dir, 'node_modules');
      if (fs.existsSync(nested)) visit(nested);
    }
  };
  visit(modules);
  return found;
}

export interface Registry {
  url: string;
  /** Paths that were asked for. */
  requests: string[];
  close: () => Promise<void>;
}

/** @param folders node_modules, or others that hold packages */
export async function startRegistry(...folders: string[]): Promise<Registry> {
  const packages = new Map(folders.flatMap((folder) => [...installedPackages(folder)]));
  const work = fs.mkdtempSync(path.join(os.tmpdir(), 'registry-'));
  const tarballs = new Map<string, Promise<Buffer>>();
  const tarballOf = (name: string, version: string, dir: string) => {
    const key = `${name.replace('/', '+')}-${version}.tgz`;
    let tarball = tarballs.get(key);
    if (!tarball) {
      const file = path.join(work, key);
      const rename = `--transform=s,^\\.,package,`;
      tarball = run('tar', ['-czf', file, '--exclude=./node_modules', rename, '-C', dir, '.']).then(() =>
        fs.readFileSync(file),
      );
      tarballs.set(key, tarball);
    }
    return tarball;
  };
  const requests: string[] = [];
  const answer = async (url: string): Promise<Buffer | object | undefined> => {
    const [name = '', version] = decodeURIComponent(url.slice(1)).split('/-/');
    const versions = packages.get(name);
    if (!versions) return undefined;
    if (version !== undefined) {
      const wanted = versions.find(({ json }) => version === `${json.version}.tgz`);
      return wanted && tarballOf(name, wanted.json.version, wanted.dir);
    }
    const entries = await Promise.all(
      versions.map(async ({ json, dir }) => {
        const bytes = await tarballOf(name, json.version, dir);
        const integrity = `sha512-${createHash('sha512').update(bytes).digest('base64')}`;
        return [
          json.version,
          { ...json, dist: { tarball: `${base}/${name}/-/${json.version}.tgz`, integrity } },
        ] as const;
      }),
    );
    return { name, 'dist-tags': { latest: versions[0]?.json.version }, versions: Object.fromEntries(entries) };
  };
  const server = http.createServer((request, response) => {
    requests.push(request.url as string);
    void answer(request.url as string).then((body) => {
      response.statusCode = body === undefined ? 404 : 200;
      response.end(Buffer.isBuffer(body) ? body : JSON.stringify(body ?? { error: 'not found' }));
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return {
    url: base,
    requests,
    close: async () => {
      await new Promise((resolve) => server.close(resolve));
      fs.rmSync(work, { recursive: true });
    },
  };
}
