/**
 * `npm run docs` makes the reference, and no public name is without a comment or left out of it:
 * TypeDoc's warnings are errors.
 */
import { execFile } from 'node:child_process';
import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';

const ROOT = path.join(__dirname, '..', '..');

test('the reference is made without a warning', async () => {
  const out = fs.mkdtempSync(path.join(os.tmpdir(), 'reference-'));
  const typedoc = path.join(ROOT, 'node_modules', 'typedoc', 'bin', 'typedoc');
  const ran = await new Promise<{ code: unknown; output: string }>((resolve) => {
    execFile(process.execPath, [typedoc, '--out', out], { cwd: ROOT }, (error, stdout, stderr) =>
      resolve({ code: error?.code ?? 0, output: `${stdout}${stderr}` }),
    );
  });
  const { scripts } = JSON.parse(fs.readFileSync(path.join(ROOT, 'package.json'), 'utf8'));
  expect(scripts.docs).toBe('typedoc');
  try {
    expect(ran).toEqual({ code: 0, output: expect.not.stringContaining('warning') });
    expect(fs.existsSync(path.join(out, 'index.html'))).toBe(true);
    expect(fs.existsSync(path.join(out, 'functions', 'index.fineTune.html'))).toBe(true);
  } finally {
    fs.rmSync(out, { recursive: true });
  }
}, 600_000);
