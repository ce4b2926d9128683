import { main } from '../../examples/domain_adaptation';

jest.setTimeout(900_000);

it('an encoder that was adapted to a domain knows its text, and LoRA on it the words that no label was given for', async () => {
  const lines: string[] = [];
  const { loss, accuracy } = await main((line) => lines.push(line));
  expect(loss.after).toBeLessThan(loss.before / 2);
  expect(accuracy.after).toBeGreaterThan(0.8);
  expect(accuracy.after).toBeGreaterThan(accuracy.before);
  expect(lines).toHaveLength(3);
});
