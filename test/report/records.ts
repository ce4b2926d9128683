/** Records of made-up runs: a log as training writes it, with texts that want to break a page. */
import type { RunRecord } from '../../src/report';
import { parseRecord } from '../../src/report/record';

export const NASTY = `</script><script>document.title='broken'</script><img src=x onerror="document.title='broken'"> & "quotes" '`;

interface Made {
  name?: string;
  steps?: number;
  rate?: number;
  confusion?: boolean;
  points?: boolean;
  stopped?: boolean;
}

/** The lines of a run's event log. */
export function logOf({ steps = 120, rate = 1e-3, points = false, stopped = false }: Made = {}): string {
  const lines: object[] = [
    {
      event: 'start',
      logVersion: 1,
      time: '2026-01-02T03:04:05.000Z',
      version: '0.1.0',
      task: points ? 'regression' : 'sequence-classification',
      method: 'lora',
      seed: 0,
      device: 'cpu (portable, 2 threads): asked for',
      settings: { learningRate: rate, epochs: 3, model: `folder/${NASTY}`, lora: { r: 8 } },
      labelNames: ['negative', NASTY],
      meaning: {
        task: points ? 'regression' : 'sequence-classification',
        labels: [
          { name: 'negative', train: 4, dev: 1 },
          { name: NASTY, train: 2, dev: 1 },
        ],
        numLabels: 2,
        ...{ maxLength: 64, truncationSide: 'left', cut: { train: 3, dev: 0 }, tokenizer: `folder/${NASTY}` },
        newWeights: [{ path: 'classifier', reason: 'missing' }],
        sources: { task: '--task', labels: 'the data', maxLength: NASTY },
        notes: [`labels: negative (the data), not ${NASTY} (base/config.json)`],
      },
      parameters: { total: 1000, learnable: 100 },
      parameterTable: [
        ['roberta.embeddings.word_embeddings.weight', 0, 500],
        ...Array.from({ length: 12 }, (_, i) => [`roberta.encoder.layer.${i}.attention.self.query.lora_A`, 1, 64]),
        ['classifier.dense.weight', 1, 36],
      ],
      data: {
        train: { examples: 6, tokens: 40, lengthCounts: [0, 0, 0, 1, 2, 3] },
        dev: { examples: 2, tokens: 9, lengthCounts: [0, 0, 0, 0, 1, 1] },
      },
      machine: {
        ...{ node: '20.0.0', platform: 'linux-x64', cpu: 'A processor', cores: 2, memoryBytes: 8e9, isa: 'portable' },
        ...{ threads: 2, compiler: 'g++' },
      },
    },
  ];
  for (let step = 1; step <= steps; step++) {
    const loss = 0.2 + Math.exp(-step / 40) + 0.1 * Math.sin(step * step);
    const gradientNorm = 3 * Math.exp(-step / 20) * (1.2 + Math.sin(step));
    const learningRate = (rate * (steps - step)) / steps;
    lines.push({
      event: 'step',
      step,
      totalSteps: steps,
      epoch: step / 40,
      loss,
      learningRate,
      gradientNorm,
      tokens: 512,
      tokensPerSecond: 4000 + step,
    });
    if (step % 40 === 0) {
      const metrics = points
        ? { loss, mse: loss, pearson: 1 - loss }
        : { loss, accuracy: 0.5 + step / 400, f1: 0.4 + step / 300 };
      lines.push({ event: 'evaluate', step, epoch: step / 40, metrics, best: true, seconds: 0.1 });
    }
  }
  const hardest = Array.from({ length: 12 }, (_, i) => ({
    ...{ place: `dev.tsv:${i + 2}`, text: `${NASTY} ${'long'.repeat(i * 20)}`, label: NASTY, prediction: 'negative' },
    ...{ probability: 0.9 - i / 100, loss: 3 - i / 10 },
  }));
  if (stopped)
    return [...lines, { event: 'stop', time: '', code: 'ABORTED', message: 'stopped by SIGINT' }]
      .map((line) => JSON.stringify(line))
      .join('\n');
  lines.push({
    event: 'details',
    step: steps,
    labelNames: ['negative', NASTY],
    ...(points
      ? { points: Array.from({ length: 200 }, (_, i) => [i % 7, (i % 7) + Math.sin(i) / 2]) }
      : {
          confusion: [
            [40, 10],
            [5, 45],
          ],
          scoresOf: 'class',
          scores: [
            { name: 'negative', precision: 0.89, recall: 0.8, f1: 0.84, support: 50 },
            { name: NASTY, precision: 0.82, recall: 0.9, f1: 0.86, support: 50 },
          ],
        }),
    hardest,
  });
  lines.push({
    event: 'end',
    time: '2026-01-02T03:14:05.000Z',
    metrics: points ? { loss: 0.2, mse: 0.2, pearson: 0.9 } : { loss: 0.25, accuracy: 0.85, f1: 0.86 },
    output: { kind: 'adapter', folder: 'out', bytes: 1234 },
    training: { tokensPerSecond: 4060, samplesPerSecond: 120 },
    seconds: { loading: 1.5, training: 300, total: 302 },
  });
  return lines.map((line) => JSON.stringify(line)).join('\n');
}

export function recordOf(made: Made = {}): RunRecord {
  return parseRecord(logOf(made), made.name ?? 'a run');
}
