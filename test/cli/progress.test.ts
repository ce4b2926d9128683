/**
 * What a run shows: a bar on a terminal, lines elsewhere,
 * each step where all is asked for, nothing where nothing is.
 */
import { PassThrough } from 'node:stream';
import { progress } from '../../src/cli/progress';
import type { StepEvent } from '../../src/train/events';

const stepEvent = (step: number): StepEvent => ({
  ...{ step, totalSteps: 10, epoch: step / 10, loss: 0.5, learningRate: 1e-3, gradientNorm: 1 },
  ...{ tokens: 100, tokensPerSecond: 1234, samplesPerSecond: 10, secondsLeft: 75 },
});
const evaluation = { step: 5, epoch: 0.5, metrics: { loss: 0.25, accuracy: 0.9 }, best: true, seconds: 1 };

/** A terminal or a file, with what was written to it. */
function screen(isTTY: boolean) {
  const stream = Object.assign(new PassThrough(), { isTTY, columns: 120 }) as unknown as NodeJS.WriteStream;
  let text = '';
  stream.on('data', (data: Buffer) => {
    text += data.toString();
  });
  return { stream, text: () => text };
}

async function shown(isTTY: boolean, options: { quiet?: boolean; verbose?: boolean } = {}): Promise<string> {
  const { stream, text } = screen(isTTY);
  const show = progress(options, stream);
  for (let step = 1; step <= 10; step++) {
    await show.onStep?.(stepEvent(step));
    if (step === 5) await show.onEvaluate?.(evaluation);
  }
  await show.onCheckpoint?.({ step: 10, path: 'out/checkpoint-10' });
  show.stop();
  await new Promise((resolve) => setImmediate(resolve));
  return text();
}

test('a terminal has a live bar, and lines of their own for what stays', async () => {
  const text = await shown(true);
  expect(text).toMatch(/1\/10 \| loss 0\.5000 \| lr 1\.00e-3 \| 1234 tokens\/s \| ETA 1:15/);
  // The cursor is hidden while the bar is there, and comes back.
  expect(text).toContain('\u001b[?25l');
  expect(text.lastIndexOf('\u001b[?25h')).toBeGreaterThan(text.lastIndexOf('\u001b[?25l'));
  expect(text).toContain('step 5 (epoch 0.50): loss 0.2500, accuracy 0.9000 (best)\n');
  expect(text).toContain('checkpoint: out/checkpoint-10\n');
});

test('elsewhere there are plain lines now and then: the first, the last, evaluations, checkpoints', async () => {
  expect((await shown(false)).trimEnd().split('\n')).toEqual([
    'step 1/10 | loss 0.5000 | lr 1.00e-3 | 1234 tokens/s | ETA 1:15',
    'step 5 (epoch 0.50): loss 0.2500, accuracy 0.9000 (best)',
    'step 10/10 | loss 0.5000 | lr 1.00e-3 | 1234 tokens/s | ETA 1:15',
    'checkpoint: out/checkpoint-10',
  ]);
});

test.each([true, false])('--verbose is a line a step, --quiet is none (terminal: %s)', async (isTTY) => {
  const verbose = await shown(isTTY, { verbose: true });
  expect(verbose.match(/^step \d+\/10 \|/gm)).toHaveLength(10);
  expect(verbose).not.toContain('\u001b');
  expect(await shown(isTTY, { quiet: true })).toBe('');
});
