/**
 * Several runs at once: each ends in the bytes that it has alone, whether it shares batches with
 * others or not, and what the models have in common stands in the joined plan once.
 */
import * as fs from 'node:fs';
import * as path from 'node:path';
import { joinGraphs } from '../../src/graph/join';
import { plan } from '../../src/graph/plan';
import { addAdapter } from '../../src/lora';
import { trace } from '../../src/nn';
import { type FineTuneOptions, fineTune } from '../../src/task/fine_tune';
import { failure, temporaryFolder } from '../io/temporary';
import { tinyRoberta } from '../lora/models';
import { ratings, reviews, TINY } from './tasks';

jest.setTimeout(120_000);

const dir = temporaryFolder();
const WEIGHTS = 'adapter_model.safetensors';

const train = reviews(24, 5);
const shared = { model: TINY, train, batchSize: 8, epochs: 2, maxLength: 32 } as const;
const UPPER = { r: 4, targetModules: ['query', 'value'], layersToTransform: [2, 3] };

/** Runs of other tasks, rates, modules and lengths; the last one has batches of its own. */
const RUNS: Record<string, Omit<FineTuneOptions, 'outputDir'>> = {
  upper: { ...shared, lora: { ...UPPER, loraDropout: 0.1 }, dev: reviews(8, 6), metricForBest: 'accuracy' },
  stars: { ...shared, train: ratings(24, 5), task: 'regression', lora: UPPER, learningRate: 1e-3, epochs: 3 },
  head: { ...shared, method: 'head', maxGradNorm: 0.1, weightDecay: 0.1 },
  everywhere: { ...shared, lora: { r: 2, targetModules: 'all-linear' }, gradientAccumulation: 2, labelSmoothing: 0.1 },
  other: { ...shared, seed: 3, batchSize: 5, lora: { r: 2, targetModules: ['key'] } },
};

describe('runs that are trained together', () => {
  it('end in the bytes that each has alone', async () => {
    const names = Object.keys(RUNS);
    const notices = new Map<string, string>();
    const runs = names.map((name) => ({
      ...RUNS[name]!,
      outputDir: path.join(dir, 'together', name),
      onNotice: (line: string) => {
        if (/together/.test(line)) notices.set(name, line);
      },
    }));
    const together = await fineTune(runs);
    const shared = names.map((name) => /(\d+) batches ran once for several runs/.exec(notices.get(name)!)?.[1]);
    expect(shared).toEqual(['6', '6', '6', '2', undefined]);
    // Where batches are not the same, small ones are mixed (mixed_steps.test.ts).
    expect(notices.get('other')).toMatch(/: \d+ batches ran in mixed steps/);
    for (const [i, name] of names.entries()) {
      const alone = await fineTune({ ...RUNS[name]!, outputDir: path.join(dir, 'alone', name) });
      const bytes = (at: string, file: string) => fs.readFileSync(path.join(dir, at, name, file));
      expect(bytes('together', WEIGHTS).equals(bytes('alone', WEIGHTS))).toBe(true);
      expect(bytes('together', 'fused_lora.json')).toEqual(bytes('alone', 'fused_lora.json'));
      const figures = ({ training: { steps, meanLoss, bestStep }, metrics, labelNames }: typeof alone) => ({
        ...{ steps, meanLoss, bestStep, metrics, labelNames },
      });
      expect(figures(together[i]!)).toEqual(figures(alone));
      alone.textModel.model.dispose();
    }
    // Each model stands by itself again.
    const weights = together.map(({ textModel: { model } }) => model.encoderModel.embeddings.word_embeddings.weight);
    expect(new Set(weights).size).toBe(names.length);
    for (const { textModel } of together) textModel.model.dispose();
  });

  it('that fail stop the others, and are named', async () => {
    const at = (name: string) => path.join(dir, 'failed', name);
    const good = { ...RUNS['head']!, outputDir: at('good') };
    const bad = { ...RUNS['head']!, outputDir: at('bad'), train: [{ text: 'one', label: 'a' }, { text: 'two' }] };
    const message = await failure('INVALID_DATA', fineTune([good, bad as FineTuneOptions]));
    expect(message).toMatch(/^run 1 \(.*bad\): /);
    expect(fs.existsSync(path.join(at('good'), WEIGHTS))).toBe(false);
    expect(await failure('INVALID_ARGUMENT', fineTune([]))).toMatch(/has no runs/);
    const none = [good, null as unknown as FineTuneOptions];
    expect(await failure('INVALID_ARGUMENT', fineTune(none))).toMatch(/run 1 is null/);
    expect(await failure('INVALID_ARGUMENT', fineTune([good, good]))).toMatch(/runs 0 and 1 both write to/);
  });
});

it('the base below the first adapter runs once in the joined plan', () => {
  const model = tinyRoberta();
  const graphs = ['a', 'b'].map((name) => {
    addAdapter(model, { r: 2, targetModules: ['query'], layersToTransform: [1] }, { name });
    return trace(model, { training: true });
  });
  // Of one model one adapter is trained at a time; here both are.
  for (const [name, parameter] of model.namedParameters()) {
    parameter.requiresGrad = /\.(lora_[AB]|modules_to_save)\./.test(name);
  }
  const joined = plan(joinGraphs(graphs), { train: true });
  const count = (at: string) =>
    joined.instructions.filter(({ path: where, phase }) => phase === 'forward' && where.endsWith(at)).length;
  expect(count('layer.0.attention.self.query')).toBe(1);
  expect(count('layer.1.attention.self.key')).toBe(1);
  expect(count('layer.1.attention.self.query')).toBeGreaterThan(1);
  expect([...joined.outputIndices.keys()]).toEqual(['loss:0', 'loss:1']);
  expect(joined.trained).toHaveLength(2 * plan(graphs[0]!, { train: true }).trained.length);
});
