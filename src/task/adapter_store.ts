/**
 * A folder of adapters kept by content: each under the checksum of its files, with a manifest that
 * has its name, and the base that it belongs on with that one's checksum. What is opened from there
 * is checked by text_model.ts; the command line is src/cli/adapters.ts.
 */
import { createHash, type Hash } from 'node:crypto';
import * as fs from 'node:fs';
import * as path from 'node:path';
import { z } from 'zod';
import { FusedLoraError } from '../base/errors';
import { listNames } from '../base/near';
import { writeFileAtomic, writeFolderAtomic } from '../io/atomic';
import { type FoundModel, findBaseModel, findModel } from '../io/find_model';
import type { FetchOptions } from '../io/hub';
import { readJsonObject } from '../io/json';
import { ADAPTER_CONFIG, ADAPTER_WEIGHTS, SETTINGS, TOKENIZER_FILES } from '../io/model_files';
import { openModelFolder } from '../io/model_folder';
import { openToRead, readWhole } from '../io/open';
import type { TensorInfo } from '../io/safetensors';
import { expected, validate } from '../io/validate';
import { adapterFacts } from '../lora/adapter_facts';

/** What a kept adapter has beside its own files. */
const MANIFEST = 'fused_lora_kept.json';
/** What decides what an adapter computes; the rest travels with it. */
const CONTENT = [ADAPTER_CONFIG, ADAPTER_WEIGHTS];
const FILES = [...CONTENT, SETTINGS, ...TOKENIZER_FILES];
const PIECE = 1 << 24;
/** Places of a tensor, and bytes at each, that tell two bases apart without reading them whole. */
const [PLACES, BYTES] = [16, 64];

const text = expected.string();
const manifest = z.object({
  name: text,
  added: text,
  files: z.record(z.string(), text, { error: 'an object from files to checksums' }),
  base: z.object({ name: text, revision: text.nullish(), sha256: text, sample: text }),
});

/** An adapter that is kept. */
export interface KeptAdapter {
  /** Of its content: the name of its folder. */
  id: string;
  /** Of the folder that it was added from, or as given. */
  name: string;
  folder: string;
  /** When, as ISO 8601. */
  added: string;
  /** SHA-256 of each file. */
  files: Readonly<Record<string, string>>;
  /**
   * The base that it belongs on: a folder or a name on the hub, SHA-256 of all of its tensors, and
   * of a sample of them.
   */
  base: { name: string; revision?: string | null | undefined; sha256: string; sample: string };
  /** Of all files. */
  bytes: number;
}

/** The bytes of what a link in the folder leads to: never the link. */
function copyInto(from: string, to: string): void {
  writeFileAtomic(to, readWhole(from, { inFolder: true }));
}

function eachPiece(file: string, [offset, length]: readonly [number, number], take: (bytes: Uint8Array) => void): void {
  const fd = openToRead(file, { inFolder: true });
  try {
    const buffer = Buffer.allocUnsafe(Math.min(PIECE, length));
    for (let done = 0; done < length; ) {
      const count = fs.readSync(fd, buffer, 0, Math.min(buffer.length, length - done), offset + done);
      if (count === 0)
        throw new FusedLoraError('INVALID_CHECKPOINT', `${file}: ends before its tensors do. Fetch or write it again.`);
      take(buffer.subarray(0, count));
      done += count;
    }
  } finally {
    fs.closeSync(fd);
  }
}

/** SHA-256 of a file. */
function checksumOf(file: string): string {
  const hash = createHash('sha256');
  eachPiece(file, [0, fs.statSync(file).size], (bytes) => hash.update(bytes));
  return hash.digest('hex');
}

function hashTensors(dir: string, add: (hash: Hash, info: TensorInfo) => void): string {
  const hash = createHash('sha256');
  const tensors = [...openModelFolder(dir).tensors].sort(([a], [b]) => (a < b ? -1 : 1));
  for (const [name, info] of tensors) {
    hash.update(`${name} ${info.dtype} [${info.shape.join(', ')}]\n`);
    add(hash, info);
  }
  return hash.digest('hex');
}

/** SHA-256 of a model's tensors by name, whatever files they are in. */
export function checksumOfModel(dir: string): string {
  return hashTensors(dir, (hash, { file, offset, byteLength }) =>
    eachPiece(file, [offset, byteLength], (bytes) => hash.update(bytes)),
  );
}

/** The same of a few bytes of each tensor, which takes milliseconds. */
export function sampleOfModel(dir: string): string {
  return hashTensors(dir, (hash, { file, offset, byteLength }) => {
    const length = Math.min(BYTES, byteLength);
    const places = byteLength <= PLACES * BYTES ? 1 : PLACES;
    for (let i = 0; i < places; i++) {
      const at = places === 1 ? 0 : Math.floor((i * (byteLength - length)) / (places - 1));
      const whole = places === 1 ? byteLength : length;
      eachPiece(file, [offset + at, whole], (bytes) => hash.update(bytes));
    }
  });
}

function readManifest(folder: string): KeptAdapter | undefined {
  const file = path.join(folder, MANIFEST);
  if (!fs.existsSync(file)) return undefined;
  const read = validate(
    manifest,
    readJsonObject(file, 'to know the adapter', 'INVALID_CONFIG', { inFolder: true }),
    file,
  );
  const sizes = Object.keys(read.files).map(
    (name) => fs.statSync(path.join(folder, path.basename(name)), { throwIfNoEntry: false })?.size ?? 0,
  );
  return { id: path.basename(folder), folder, ...read, bytes: sizes.reduce((a, b) => a + b, 0) };
}

/** The adapters of a store, by name; none where there is no such folder. */
export function listKept(store: string): KeptAdapter[] {
  if (!fs.existsSync(store)) return [];
  const folders = fs.readdirSync(store, { withFileTypes: true }).filter((entry) => entry.isDirectory());
  const found = folders
    .filter(({ name }) => !name.startsWith('.'))
    .map(({ name }) => readManifest(path.join(store, name)));
  return found.filter((one) => one !== undefined).sort((a, b) => (a.name < b.name ? -1 : 1));
}

/**
 * One of them by its name, or by the start of its id.
 *
 * @throws FusedLoraError INVALID_ARGUMENT naming those that are there.
 */
export function findKept(store: string, wanted: string): KeptAdapter {
  const all = listKept(store);
  const named = all.filter(({ name }) => name === wanted);
  const found = named.length > 0 ? named : all.filter(({ id }) => wanted.length >= 4 && id.startsWith(wanted));
  if (found.length === 1) return found[0] as KeptAdapter;
  throw new FusedLoraError(
    'INVALID_ARGUMENT',
    `${store}: ${found.length === 0 ? 'has no' : 'has more than one'} adapter "${wanted}"; it has: ${
      listNames(all.map(({ name, id }) => `${name} (${id})`)) || 'none'
    }`,
  );
}

/** Of {@link keepAdapter}. */
export interface KeepOptions extends FetchOptions {
  /** Default: the name of its folder. */
  name?: string;
  /** Folder of the base model, or its name on the hub. Default: what the adapter says. */
  model?: string;
}

/**
 * Adds an adapter to a store: its configuration, weights, record and tokenizer, copied. The same
 * content is there once.
 *
 * @returns what is kept, and whether it was there before.
 * @throws FusedLoraError what finding and reading adapter and base throws; INVALID_ARGUMENT for a
 * name that another one has; FILE_NOT_WRITABLE.
 */
export async function keepAdapter(
  store: string,
  adapter: string,
  options: KeepOptions = {},
): Promise<{ kept: KeptAdapter; existed: boolean }> {
  const { name: given, model, ...hub } = options;
  const { folder: place } = await findModel(adapter, hub);
  const { folder } = adapterFacts(place);
  const found = model === undefined ? await findBaseModel(folder, hub) : await findModel(model, hub);
  const files = Object.fromEntries(
    FILES.filter((name) => fs.existsSync(path.join(folder, name))).map((name) => [
      name,
      checksumOf(path.join(folder, name)),
    ]),
  );
  const id = createHash('sha256')
    .update(CONTENT.map((name) => files[name]).join())
    .digest('hex')
    .slice(0, 16);
  const known = listKept(store);
  const existing = known.find((one) => one.id === id);
  const name = given ?? existing?.name ?? path.basename(path.resolve(folder));
  const other = known.find((one) => one.name === name && one.id !== id);
  if (other || name === '' || /[\p{Cc}/\\]/u.test(name)) {
    throw new FusedLoraError(
      'INVALID_ARGUMENT',
      `${adapter}: can not be kept as "${name}"${other ? `, which is the name of another adapter (${other.id})` : ''}. Give another name (--name).`,
    );
  }
  const target = path.join(store, id);
  const content = {
    name,
    added: existing?.added ?? new Date().toISOString(),
    files,
    base: { ...baseOf(found), sha256: checksumOfModel(found.folder), sample: sampleOfModel(found.folder) },
  };
  writeFolderAtomic(target, (temporary) => {
    for (const file of Object.keys(files)) copyInto(path.join(folder, file), path.join(temporary, file));
    writeFileAtomic(path.join(temporary, MANIFEST), `${JSON.stringify(content, null, 2)}\n`);
  });
  return { kept: readManifest(target) as KeptAdapter, existed: existing !== undefined };
}

/** A folder by its whole path: a relative one holds from where the adapter was. */
function baseOf({ folder, name, revision }: FoundModel): Pick<KeptAdapter['base'], 'name' | 'revision'> {
  const isFolder = path.resolve(folder) === path.resolve(name);
  return isFolder ? { name: path.resolve(folder) } : { name, ...(revision !== undefined && { revision }) };
}

/** Takes an adapter out of its store. */
export function removeKept({ folder }: KeptAdapter): void {
  fs.rmSync(folder, { recursive: true, force: true });
}

/**
 * The base that an adapter belongs on: of one in a store what its manifest names, which is a file
 * like any other (see `findBaseModel`).
 */
export function findOwnBase(adapter: string, options: Parameters<typeof findBaseModel>[1]): Promise<FoundModel> {
  const base = readManifest(adapter)?.base;
  return findBaseModel(adapter, options, base && { ...base, file: path.join(adapter, MANIFEST), field: 'base.name' });
}

const short = (checksum: string) => checksum.slice(0, 16);

/** What is wrong with the files of a kept adapter; nothing, where they are as they were added. */
export function changesOf({ folder, files }: KeptAdapter): string[] {
  return Object.entries(files).flatMap(([name, want]) => {
    const file = path.join(folder, path.basename(name));
    if (!fs.existsSync(file)) return [`${file}: is missing`];
    const got = checksumOf(file);
    return got === want ? [] : [`${file}: has the checksum ${short(got)}, and ${short(want)} was added`];
  });
}

/**
 * Refuses an adapter of a store that is not what was added, or another base than its own. An
 * adapter that is not of a store passes.
 *
 * @param options.whole reads the base whole, not a sample of each tensor.
 * @throws FusedLoraError INVALID_CHECKPOINT; STATE_MISMATCH naming both bases.
 */
export function checkKept(folder: string, baseFolder: string, { whole = false }: { whole?: boolean } = {}): void {
  const kept = readManifest(folder);
  if (!kept) return;
  const [change] = changesOf(kept);
  if (change !== undefined) {
    throw new FusedLoraError(
      'INVALID_CHECKPOINT',
      `${change}. Remove the adapter "${kept.name}" from its store and add it again.`,
    );
  }
  const { name, sha256, sample } = kept.base;
  const [want, got] = whole ? [sha256, checksumOfModel(baseFolder)] : [sample, sampleOfModel(baseFolder)];
  if (want === got) return;
  throw new FusedLoraError(
    'STATE_MISMATCH',
    `the adapter "${kept.name}" (${folder}) belongs on the base model ${name} (${short(want)}), and ${baseFolder} is another one ` +
      `(${short(got)}). Give the base that it was added with, or add it again for this one (fused-lora adapters add --model DIR).`,
  );
}
