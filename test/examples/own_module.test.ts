import { main } from '../../examples/own_module';

// Trains, evaluates (which leaves packed copies alone on the
// device) and goes on training what was trained before.
it('a model of own modules learns a task, and another one with LoRA', async () => {
  const lines: string[] = [];
  const { scratch, before, adapted } = await main((line) => lines.push(line));
  expect(scratch).toBeGreaterThan(0.95);
  expect(before).toBeLessThan(0.7);
  expect(adapted).toBeGreaterThan(0.95);
  expect(lines[0]).toContain('(feedForward): FeedForward(');
  expect(lines).toContain('Total parameters: 16,098, thereof learnable: 4,162 (25.8541%)');
});
