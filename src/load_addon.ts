/**
 * Finds the native addon and loads it: a build of this folder first, then the package of this
 * platform, in the order that node-gyp-build made usual. Types of what is loaded: native.ts;
 * how the packages are made: scripts/packages.mjs.
 */
import * as fs from 'node:fs';
import { createRequire } from 'node:module';
import * as path from 'node:path';
import { FusedLoraError } from './base/errors';
import { VERSION } from './base/version';

/** Platforms that have a package. */
const PLATFORMS = [
  'linux-x64',
  'linuxmusl-x64',
  'linux-arm64',
  'linuxmusl-arm64',
  'darwin-arm64',
  'darwin-x64',
  'win32-x64',
];
const FILE = 'fused-lora.node';

/** Where to look, and what to say of it. */
interface Place {
  file: string;
  /** The package that it belongs to. */
  name?: string;
}

export interface Loaded<Addon> {
  addon: Addon;
  file: string;
}

/** Whether this Linux's C library is musl. */
function isMusl(): boolean {
  // Runtimes that stand in for Node may have no reports.
  const report = process.report as (Partial<NodeJS.ProcessReport> & { excludeNetwork?: boolean }) | undefined;
  if (typeof report?.getReport !== 'function') return fs.existsSync('/etc/alpine-release');
  const { excludeNetwork = false } = report;
  // Without names of hosts, which take time to find.
  report.excludeNetwork = true;
  try {
    const { header, sharedObjects } = report.getReport() as { header?: object; sharedObjects?: string[] };
    if (header && 'glibcVersionRuntime' in header) return false;
    return sharedObjects?.some((name) => name.includes('ld-musl-')) ?? false;
  } finally {
    report.excludeNetwork = excludeNetwork;
  }
}

/** `linux-x64`, `linuxmusl-x64`: as the packages are called. */
export function platformName(): string {
  const system = process.platform === 'linux' && isMusl() ? 'linuxmusl' : process.platform;
  return `${system}-${process.arch}`;
}

/**
 * Files that packages are searched from. Our own comes first; in a bundle that is the bundle, where
 * it has a name at all. The started script and the program (of a single executable) come after it.
 */
function searchedFrom(): string[] {
  const own = typeof __filename === 'string' ? __filename : undefined;
  return [own, process.argv[1], process.execPath].filter(
    (file) => file !== undefined && path.isAbsolute(file),
  ) as string[];
}

/** The file of an installed package; undefined where none is installed. */
function inPackage(name: string): string | undefined {
  for (const from of searchedFrom()) {
    const require = createRequire(from);
    try {
      return require.resolve(name);
    } catch {
      // Package managers that link put it beside our own package alone.
    }
    try {
      return createRequire(require.resolve('fused-lora/package.json')).resolve(name);
    } catch {
      // Neither.
    }
  }
  return undefined;
}

/** What FUSED_LORA_PREBUILD names: the addon, or a folder with build/Release in it. */
function named(): Place | undefined {
  const given = process.env['FUSED_LORA_PREBUILD'];
  if (given === undefined || given === '') return undefined;
  const isFolder = fs.statSync(given, { throwIfNoEntry: false })?.isDirectory() ?? false;
  return { file: path.resolve(isFolder ? path.join(given, 'build', 'Release', FILE) : given) };
}

/** A build of this folder, by node-gyp-build's order; undefined in a bundle, or without a build. */
function builtHere(own: string): string | undefined {
  try {
    return (createRequire(own)('node-gyp-build') as { resolve(folder: string): string }).resolve(
      path.join(path.dirname(own), '..'),
    );
  } catch {
    return undefined;
  }
}

/** In the order in which they are tried. */
function places(platform: string): Place[] {
  const only = named();
  if (only) return [only];
  const beside = searchedFrom().map((file) => path.dirname(file));
  const own = beside[0] as string;
  const packages = [`@fused-lora/${platform}-cuda`, `@fused-lora/${platform}`].map((name) => ({
    file: inPackage(name),
    name,
  }));
  return [
    { file: builtHere(searchedFrom()[0] as string) ?? path.join(own, '..', 'build', 'Release', FILE) },
    ...packages,
    ...[...new Set(beside)].map((folder) => ({ file: path.join(folder, FILE) })),
  ].filter((place): place is Place => place.file !== undefined && fs.existsSync(place.file));
}

function remedyFor(platform: string): string {
  const build = 'or build it from source: npm explore fused-lora -- npm run build:native';
  if (!PLATFORMS.includes(platform)) {
    return `There is no prebuilt addon for ${platform} (there is for ${PLATFORMS.join(', ')}). Use one of those, ${build}`;
  }
  return (
    `Install it: npm install fused-lora@${VERSION} --include=optional, without --no-optional or --omit=optional, ` +
    `or by its name: npm install @fused-lora/${platform}@${VERSION}; ${build}. Bundled: docs/bundlers.md`
  );
}

/**
 * Loads the addon.
 *
 * @throws FusedLoraError ADDON_NOT_FOUND: there is none, it does not load, or it is of another
 * version than this package. The message says where it was looked for and what to do.
 */
export function loadAddon<Addon>(): Loaded<Addon> {
  const platform = platformName();
  const found = places(platform);
  const failures: string[] = [];
  let cause: unknown;
  for (const { file, name } of found) {
    let addon: Addon & { version?: string };
    try {
      addon = createRequire(file)(file);
    } catch (error) {
      cause ??= error;
      failures.push(`${file}: ${error instanceof Error ? error.message.trim().split('\n')[0] : String(error)}`);
      continue;
    }
    if (addon.version !== VERSION) {
      const other = `${name ?? file} ${addon.version ?? 'of an unknown version'}`;
      const remedy = name
        ? `Install both again: npm install fused-lora@${VERSION} ${name}@${VERSION}`
        : 'Build it again: npm run build:native';
      throw new FusedLoraError(
        'ADDON_NOT_FOUND',
        `fused-lora ${VERSION} found ${other} (${file}): the two must be of one version. ${remedy}`,
      );
    }
    return { addon, file };
  }
  const what =
    found.length === 0
      ? `no package @fused-lora/${platform}, and no ${FILE} in build/Release or beside the program`
      : failures.join('; ');
  throw new FusedLoraError(
    'ADDON_NOT_FOUND',
    `the native addon could not be loaded for ${platform}, Node ${process.versions.node}: ${what}. ${remedyFor(platform)}`,
    { cause },
  );
}
