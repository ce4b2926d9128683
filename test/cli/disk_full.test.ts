/**
 * A disk that fills up in the midst of a run: an error that says so, nothing half-written, and the
 * run goes on when there is room.
 */
import { execFileSync } from 'node:child_process';
import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';
import { makeFiles, run } from './command';

jest.setTimeout(900_000);

const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'fused-lora-disk-'));
const disk = path.join(dir, 'disk');
fs.mkdirSync(disk);
const mount = (...args: string[]) => execFileSync('mount', args, { stdio: 'pipe' });

/** A disk of 2 MB, where this process may mount one. */
function smallDisk(): boolean {
  try {
    mount('-t', 'tmpfs', '-o', 'size=2m', 'tmpfs', disk);
    return true;
  } catch (error) {
    console.warn(`skipped: a disk that fills up, for none can be mounted here (${(error as Error).message.trim()})`);
    return false;
  }
}

const mounted = smallDisk();
afterAll(() => {
  if (mounted) execFileSync('umount', [disk]);
  fs.rmSync(dir, { recursive: true, force: true });
});

(mounted ? test : test.skip)('a checkpoint that does not fit', async () => {
  const { model, train } = makeFiles(dir);
  const output = path.join(disk, 'run');
  const files = ['train', '--model', model, '--train', train, '--output', output, '--max-length', '40', '--quiet'];
  const args = [...files, '--method', 'full', '--max-steps', '4', '--checkpoint-every', '2', '--no-report'];
  const { code, stderr } = await run(args);
  expect(stderr).toMatch(/^error \[FILE_NOT_WRITABLE\]: .*checkpoint-2.*ENOSPC.*the disk is full/);
  expect(code).toBe(1);
  expect(fs.readdirSync(output).sort()).toEqual(['events.jsonl', 'run_config.json']);

  mount('-o', 'remount,size=60m', disk);
  expect(await run([...args, '--resume'])).toMatchObject({ code: 0, stderr: '' });
  expect(fs.existsSync(path.join(output, 'model.safetensors'))).toBe(true);
});
