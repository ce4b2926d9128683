/** Programs made and disposed of in thousands: memory stays where it was. */
import { execFileSync } from 'node:child_process';
import * as path from 'node:path';

test('2,000 programs with a step each', () => {
  const script = path.join(__dirname, 'flat_memory.cjs');
  const output = execFileSync(process.execPath, ['--expose-gc', script, '2000'], { encoding: 'utf8' });
  const memory = JSON.parse(output) as number[];
  expect(memory).toHaveLength(10);
  // In MB. One program that stays has 25 kB: 1,600 of them would be 40 MB.
  const early = Math.max(...memory.slice(0, 3));
  expect(Math.max(...memory.slice(-3)) - early).toBeLessThan(8);
}, 120_000);
