/**
 * What frozen layers gave for a text, kept by content: in memory up to a limit, and in a folder up
 * to another where one is given, in which later processes find it. Batches get it from
 * kept_source.ts.
 */
import { randomBytes } from 'node:crypto';
import * as fs from 'node:fs';
import * as path from 'node:path';
import { FusedLoraError } from '../base/errors';
import { checkKeys } from '../base/options';
import { notWritable } from '../io/atomic';
import { makeFolder } from '../io/folders';
import { openToRead } from '../io/open';

/** Of {@link KeptStates}. */
export interface KeptStatesOptions {
  /** Most bytes in memory. Default 1 GiB. */
  memoryBytes?: number;
  /** Where states are written too. Default: nowhere. */
  folder?: string;
  /** Most bytes that this object writes there. Default 8 GiB. */
  folderBytes?: number;
}

const GIB = 2 ** 30;
/** Before each record of a file: bytes of its key, and numbers of its state. */
const HEAD = 8;
/** More than the key of any text, and the numbers of any state. */
const [MOST_KEY, MOST_COUNT] = [1 << 20, 1 << 28];

/** A state in a file. */
interface Place {
  fd: number;
  at: number;
  count: number;
}

/** The states of one frozen part of one model. */
interface Shelf {
  memory: Map<string, Float32Array>;
  files: Map<string, Place>;
  /** This object's own file. */
  own: { fd: number; end: number } | undefined;
}

/**
 * States of texts, by what made them. Give one object to several runs, and what the first computed
 * the others read.
 */
export class KeptStates {
  private readonly shelves = new Map<string, Shelf>();
  private readonly open = new Set<number>();
  private readonly most: { memory: number; folder: number };
  private used = { memory: 0, folder: 0 };

  /** @throws FusedLoraError INVALID_ARGUMENT; FILE_NOT_WRITABLE for the folder. */
  constructor(private readonly options: KeptStatesOptions = {}) {
    checkKeys('KeptStates', options, { memoryBytes: true, folder: true, folderBytes: true });
    const { memoryBytes = GIB, folderBytes = 8 * GIB, folder } = options;
    for (const [name, value] of Object.entries({ memoryBytes, folderBytes })) {
      if (typeof value === 'number' && value >= 0) continue;
      throw new FusedLoraError('INVALID_ARGUMENT', `${name} is ${String(value)}; it must be a number of bytes, from 0`);
    }
    this.most = { memory: memoryBytes, folder: folderBytes };
    if (folder === undefined) return;
    try {
      makeFolder(folder);
    } catch (cause) {
      throw notWritable(folder, cause);
    }
  }

  /** Bytes of states, in memory and written by this object. */
  get bytes(): { memory: number; folder: number } {
    return { ...this.used };
  }

  /**
   * @param part names the frozen part by its content.
   * @param text its token ids as text.
   */
  get(part: string, text: string): Float32Array | undefined {
    const { memory, files } = this.shelfOf(part);
    const place = files.get(text);
    return memory.get(text) ?? (place && readState(place));
  }

  /** Keeps a state, where there is room for it. */
  put(part: string, text: string, state: Float32Array): void {
    const shelf = this.shelfOf(part);
    if (shelf.memory.has(text) || shelf.files.has(text)) return;
    if (this.used.memory + state.byteLength <= this.most.memory) {
      shelf.memory.set(text, state);
      this.used.memory += state.byteLength;
    }
    const key = Buffer.from(text, 'latin1');
    const size = HEAD + key.length + state.byteLength;
    if (this.options.folder === undefined || this.used.folder + size > this.most.folder) return;
    shelf.own ??= this.ownFile(part);
    const head = Buffer.alloc(HEAD);
    head.writeUInt32LE(key.length, 0);
    head.writeUInt32LE(state.length, 4);
    const values = Buffer.from(state.buffer, state.byteOffset, state.byteLength);
    const { fd, end } = shelf.own;
    fs.writeSync(fd, Buffer.concat([head, key, values]), 0, size, end);
    shelf.files.set(text, { fd, at: end + HEAD + key.length, count: state.length });
    shelf.own.end = end + size;
    this.used.folder += size;
  }

  /** Closes files and lets go of what is in memory; the folder stays. */
  dispose(): void {
    for (const fd of this.open) fs.closeSync(fd);
    this.open.clear();
    this.shelves.clear();
    this.used = { memory: 0, folder: this.used.folder };
  }

  /** For `using`. */
  [Symbol.dispose](): void {
    this.dispose();
  }

  private shelfOf(part: string): Shelf {
    let shelf = this.shelves.get(part);
    if (!shelf) {
      shelf = { memory: new Map(), files: new Map(), own: undefined };
      this.shelves.set(part, shelf);
      const { folder } = this.options;
      if (folder !== undefined) this.findFiles(path.join(folder, part), shelf);
    }
    return shelf;
  }

  private findFiles(dir: string, shelf: Shelf): void {
    if (!fs.existsSync(dir)) return;
    for (const name of fs.readdirSync(dir).filter((one) => one.endsWith('.states'))) {
      const fd = openToRead(path.join(dir, name), { inFolder: true });
      this.open.add(fd);
      for (const [text, place] of placesIn(fd)) shelf.files.set(text, place);
    }
  }

  private ownFile(part: string): { fd: number; end: number } {
    const dir = path.join(this.options.folder as string, part);
    const file = path.join(dir, `${randomBytes(8).toString('hex')}.states`);
    try {
      makeFolder(dir);
      const fd = fs.openSync(file, 'wx+');
      this.open.add(fd);
      return { fd, end: 0 };
    } catch (cause) {
      throw notWritable(file, cause);
    }
  }
}

/** Records up to the first that is not whole: a process may have been killed while it wrote. */
function* placesIn(fd: number): Generator<[string, Place]> {
  const { size } = fs.fstatSync(fd);
  const head = Buffer.alloc(HEAD);
  for (let at = 0; at + HEAD <= size; ) {
    fs.readSync(fd, head, 0, HEAD, at);
    const [length, count] = [head.readUInt32LE(0), head.readUInt32LE(4)];
    const end = at + HEAD + length + 4 * count;
    if (length > MOST_KEY || count > MOST_COUNT || end > size) return;
    const key = Buffer.alloc(length);
    fs.readSync(fd, key, 0, length, at + HEAD);
    yield [key.toString('latin1'), { fd, at: at + HEAD + length, count }];
    at = end;
  }
}

function readState({ fd, at, count }: Place): Float32Array | undefined {
  const state = new Float32Array(count);
  const read = fs.readSync(fd, new Uint8Array(state.buffer), 0, state.byteLength, at);
  return read === state.byteLength ? state : undefined;
}
