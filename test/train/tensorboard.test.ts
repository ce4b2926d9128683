/**
 * Event files to the byte, and by a reader of their form: what TensorBoard reads of them is checked
 * by scripts/oracle/read_tensorboard.py, outside of CI.
 */
import * as fs from 'node:fs';
import * as path from 'node:path';
import {
  maskedCrc32c,
  record,
  removeEventFiles,
  scalarEvent,
  tensorBoardLog,
  versionEvent,
} from '../../src/train/tensorboard';
import { temporaryFolder } from '../io/temporary';

/** Messages of a file, with both checksums checked. */
function messages(file: string): Buffer[] {
  const bytes = fs.readFileSync(file);
  const found: Buffer[] = [];
  for (let at = 0; at < bytes.length; ) {
    const length = Number(bytes.readBigUInt64LE(at));
    expect(bytes.readUInt32LE(at + 8)).toBe(maskedCrc32c(bytes.subarray(at, at + 8)));
    const message = bytes.subarray(at + 12, at + 12 + length);
    expect(bytes.readUInt32LE(at + 12 + length)).toBe(maskedCrc32c(message));
    found.push(message);
    at += 16 + length;
  }
  return found;
}

test('the checksum is CRC-32C, masked', () => {
  // RFC 3720, B.4: 32 bytes of 0 have 0x8a9136aa.
  const crc = 0x8a9136aa;
  expect(maskedCrc32c(new Uint8Array(32))).toBe((((crc >>> 15) | (crc << 17)) + 0xa282ead8) >>> 0);
});

test('records have the bytes that tensorboard 2.21.0 writes', () => {
  const hex = (message: Buffer) => record(message).toString('hex');
  const fixture = JSON.parse(
    fs.readFileSync(path.join(__dirname, '..', 'fixtures', 'tensorboard.json'), 'utf8'),
  ) as Record<'version' | 'scalars' | 'far', string>;
  expect(hex(versionEvent(1700000000.25))).toBe(fixture.version);
  expect(hex(scalarEvent(1700000001.5, 3, { 'train/loss': 0.625, 'train/learning_rate': 0.0005 }))).toBe(
    fixture.scalars,
  );
  expect(hex(scalarEvent(1700000002, 300_000, { 'dev/accuracy': 1 }))).toBe(fixture.far);
});

test('a run writes its scalars, and the files of an earlier run go alone', async () => {
  const dir = temporaryFolder();
  const log = tensorBoardLog(dir, () => 1700000000);
  const step = { totalSteps: 2, epoch: 1, loss: 0.5, learningRate: 1e-3, gradientNorm: 2, tokens: 9 };
  const speed = { tokensPerSecond: 100, samplesPerSecond: 10, secondsLeft: 1 };
  await log.onStep?.({ step: 1, ...step, ...speed });
  await log.onEvaluate?.({ step: 1, epoch: 1, metrics: { accuracy: 0.75 }, best: true, seconds: 1 });
  const folder = path.join(dir, 'tensorboard');
  const [file] = fs.readdirSync(folder);
  expect(file).toMatch(/^events\.out\.tfevents\.1700000000\.\d+\.fused-lora$/);
  const [version, scalars, evaluated, ...more] = messages(path.join(folder, file as string));
  expect(more).toEqual([]);
  expect(version?.toString('latin1')).toContain('brain.Event:2');
  for (const name of ['loss', 'learning_rate', 'gradient_norm', 'tokens_per_second']) {
    expect(scalars?.toString('latin1')).toContain(`train/${name}`);
  }
  expect(evaluated?.toString('latin1')).toContain('dev/accuracy');
  fs.writeFileSync(path.join(folder, 'events.out.tfevents.1.other'), '');
  removeEventFiles(dir);
  expect(fs.readdirSync(folder)).toEqual(['events.out.tfevents.1.other']);
});
