import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';
import type { ErrorCode, FusedLoraError } from '../../src/base/errors';

const folders: string[] = [];

/** A new empty folder, removed after the tests of the file. */
export function temporaryFolder(): string {
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'fused-lora-test-'));
  folders.push(dir);
  return dir;
}

afterAll(() => {
  for (const dir of folders) fs.rmSync(dir, { recursive: true, force: true });
});

/** Calls `action`, which must throw a FusedLoraError of this code, and gives its message. */
export function errorMessage(code: ErrorCode, action: () => unknown): string {
  try {
    action();
  } catch (error) {
    expect({
      name: (error as Error).name,
      code: (error as FusedLoraError).code,
      message: (error as Error).message,
    }).toEqual({
      name: 'FusedLoraError',
      code,
      message: expect.any(String),
    });
    return (error as Error).message;
  }
  throw new Error(`nothing was thrown, expected ${code}`);
}

/** The same of a Promise, which must be rejected. */
export async function failure(code: ErrorCode, promise: Promise<unknown>): Promise<string> {
  const error = await promise.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  return errorMessage(code, () => {
    if (error !== undefined) throw error;
  });
}

/** Folder of the real data; undefined, with a line that says so, where it is not at hand. */
export function sharedData(...parts: string[]): string | undefined {
  const root = process.env['FUSED_LORA_DATA'] ?? path.resolve(__dirname, '../../../shared/data');
  const file = path.join(root, ...parts);
  if (fs.existsSync(file)) return file;
  process.stderr.write(`skipped: ${parts.join('/')} is not at hand (set FUSED_LORA_DATA to the data folder)\n`);
  return undefined;
}
