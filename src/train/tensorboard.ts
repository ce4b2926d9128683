/**
 * A run's scalars as TensorBoard reads them: an event file of length, checksum, message, checksum,
 * where each message is a protocol buffer of TensorFlow's event.proto. The same as JSON lines is
 * event_log.ts.
 */
import * as fs from 'node:fs';
import * as path from 'node:path';
import { notWritable } from '../io/atomic';
import { makeFolder } from '../io/folders';
import type { TrainerCallbacks } from './events';

/** Folder of event files in that of a run. */
export const TENSORBOARD = 'tensorboard';
/** How our files end; TensorBoard asks for `tfevents` in a name. */
const SUFFIX = '.fused-lora';
/** To our own file: not through a link that took its place. */
const APPEND = fs.constants.O_WRONLY | fs.constants.O_APPEND | (fs.constants.O_NOFOLLOW ?? 0);

/** Castagnoli's polynomial, reversed. */
const CRC_TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  let crc = byte;
  for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0x82f63b78 : crc >>> 1;
  return crc >>> 0;
});

/** CRC-32C, masked as TFRecord has it: a checksum of what holds checksums would be weak. */
export function maskedCrc32c(bytes: Uint8Array): number {
  let crc = 0xffffffff;
  for (const byte of bytes) crc = (CRC_TABLE[(crc ^ byte) & 255] as number) ^ (crc >>> 8);
  crc = ~crc >>> 0;
  return (((crc >>> 15) | (crc << 17)) + 0xa282ead8) >>> 0;
}

/** A message with its length and both checksums. */
export function record(message: Uint8Array): Buffer {
  const out = Buffer.alloc(16 + message.length);
  out.writeBigUInt64LE(BigInt(message.length), 0);
  out.writeUInt32LE(maskedCrc32c(out.subarray(0, 8)), 8);
  out.set(message, 12);
  out.writeUInt32LE(maskedCrc32c(message), 12 + message.length);
  return out;
}

function varint(value: number): number[] {
  const bytes: number[] = [];
  let rest = value;
  for (; rest >= 128; rest = Math.floor(rest / 128)) bytes.push((rest % 128) | 128);
  return [...bytes, rest];
}

/** A field by its number and wire type: 0 varint, 1 eight bytes, 2 with a length, 5 four bytes. */
const field = (number: number, wire: number, content: Uint8Array | readonly number[]) =>
  Buffer.from([(number << 3) | wire, ...(wire === 2 ? varint(content.length) : []), ...content]);

const double = (value: number) => new Uint8Array(Float64Array.of(value).buffer);
const float = (value: number) => new Uint8Array(Float32Array.of(value).buffer);

/** Event: wall_time 1, step 2, file_version 3, summary 5. */
export function versionEvent(wallTime: number): Buffer {
  return Buffer.concat([field(1, 1, double(wallTime)), field(3, 2, Buffer.from('brain.Event:2'))]);
}

/** Summary: value 1; its fields: tag 1, simple_value 2. */
export function scalarEvent(wallTime: number, step: number, scalars: Readonly<Record<string, number>>): Buffer {
  const values = Object.entries(scalars).map(([tag, value]) =>
    field(1, 2, Buffer.concat([field(1, 2, Buffer.from(tag)), field(2, 5, float(value))])),
  );
  return Buffer.concat([field(1, 1, double(wallTime)), field(2, 0, varint(step)), field(5, 2, Buffer.concat(values))]);
}

/** Removes event files of an earlier run. */
export function removeEventFiles(dir: string): void {
  const folder = path.join(dir, TENSORBOARD);
  if (!fs.lstatSync(folder, { throwIfNoEntry: false })?.isDirectory()) return;
  for (const name of fs.readdirSync(folder)) {
    if (name.includes('.tfevents.') && name.endsWith(SUFFIX)) fs.rmSync(path.join(folder, name), { force: true });
  }
}

/**
 * Callbacks that write `tensorboard/events.out.tfevents.*` in a run's folder: loss, learning rate,
 * gradient norm and speed under `train/`, metrics under `dev/`. A run that goes on begins a new
 * file, which TensorBoard reads after the others.
 *
 * @throws FusedLoraError FILE_NOT_WRITABLE.
 */
export function tensorBoardLog(dir: string, now: () => number = () => Date.now() / 1000): TrainerCallbacks {
  const folder = path.join(dir, TENSORBOARD);
  let file: string | undefined;
  const append = (message: Buffer) => {
    try {
      if (file === undefined) {
        makeFolder(folder);
        const stamp = `${Math.floor(now())}.${process.pid}`;
        file = path.join(folder, `events.out.tfevents.${stamp}${SUFFIX}`);
        fs.writeFileSync(file, record(versionEvent(now())), { flag: 'wx' });
      }
      const fd = fs.openSync(file, APPEND);
      try {
        fs.writeFileSync(fd, record(message));
      } finally {
        fs.closeSync(fd);
      }
    } catch (cause) {
      throw notWritable(file ?? folder, cause);
    }
  };
  return {
    onStep({ step, loss, learningRate, gradientNorm, tokensPerSecond }) {
      append(
        scalarEvent(now(), step, {
          'train/loss': loss,
          'train/learning_rate': learningRate,
          'train/gradient_norm': gradientNorm,
          'train/tokens_per_second': tokensPerSecond,
        }),
      );
    },
    onEvaluate({ step, metrics }) {
      const scalars = Object.entries(metrics).map(([name, value]) => [`dev/${name}`, value]);
      append(scalarEvent(now(), step, Object.fromEntries(scalars)));
    },
  };
}
