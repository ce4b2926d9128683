/**
 * No memory, at each allocation that the addon makes in turn: an error, nothing lost, and the
 * process goes on. The trials run in a process of their own: out_of_memory.cjs.
 */
import { execFileSync } from 'node:child_process';
import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';

const LIBRARY = path.join(__dirname, '..', '..', 'build', 'libfused_lora_failing_malloc.so');
const built = fs.existsSync(LIBRARY);
if (!built) console.warn('skipped: the library that makes allocations fail is built on Linux alone');

(built ? test : test.skip)(
  'each allocation of each call fails once',
  () => {
    const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'out-of-memory-'));
    const shared = path.join(folder, 'allocations');
    fs.writeFileSync(shared, Buffer.alloc(32));
    const output = execFileSync(process.execPath, [path.join(__dirname, 'out_of_memory.cjs')], {
      env: {
        ...process.env,
        LD_PRELOAD: LIBRARY,
        FUSED_LORA_ALLOCATIONS_FILE: shared,
        FUSED_LORA_THREADS: '3',
      },
      encoding: 'utf8',
    });
    fs.rmSync(folder, { recursive: true });
    const calls = output
      .trim()
      .split('\n')
      .map(
        (line) =>
          JSON.parse(line) as {
            name: string;
            allocations: number;
            tried: number;
            same: number;
            codes: Record<string, number>;
          },
      );
    expect(calls.map(({ name }) => name)).toEqual([
      'parameter',
      'build',
      'reserve',
      'forward',
      'accumulate',
      'apply',
      'read',
      'runOp',
    ]);
    for (const { name, allocations, tried, same, codes } of calls) {
      expect([name, Object.keys(codes).filter((code) => code !== 'none' && code !== 'OUT_OF_MEMORY')]).toEqual([
        name,
        [],
      ]);
      // After each failure the same call gave the same bits.
      expect([name, same]).toEqual([name, tried]);
      expect(tried).toBeGreaterThan(allocations / 2);
      if (allocations > 0) expect(codes['OUT_OF_MEMORY']).toBeGreaterThan(0);
    }
  },
  120_000,
);
