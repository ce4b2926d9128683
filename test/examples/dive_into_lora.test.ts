import { main } from '../../examples/dive_into_lora';
import { reviews } from '../task/tasks';

// The counts need no weights; the runs are small, on sentences that all methods learn.
it("the article's counts, and the three ways to train, merged at the end", async () => {
  const lines: string[] = [];
  const { counts, accuracy, merged } = await main((line) => lines.push(line), {
    train: reviews(160, 1),
    dev: reviews(80, 2),
    epochs: 2,
  });
  expect(counts).toEqual({ before: 124_647_170, total: 124_978_946, learnable: 923_906 });
  expect(lines).toContain('Total parameters: 124,978,946, thereof learnable: 923,906 (0.7392%)');
  expect(lines.some((line) => /^roberta\.encoder\.layer\.11\.output\.dense\.lora_A +1 +12288$/.test(line))).toBe(true);
  expect(accuracy.lora).toBeGreaterThan(0.9);
  expect(accuracy.full).toBeGreaterThan(0.9);
  expect(Math.abs(merged - accuracy.lora)).toBeLessThanOrEqual(1 / 80);
  expect(lines.at(-2)).toMatch(/^\| lora \| \d\.\d+ % \| 0\.9|1\.0/);
}, 120_000);
