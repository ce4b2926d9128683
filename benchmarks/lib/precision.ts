/**
 * Which of fp32 and bf16 a run can compare on this machine, for us and for PyTorch, found by
 * trying.
 * How a figure that can not be had is told: `Missing` in result.ts.
 */
import { createModel, type EncodedExample, type PlanOptions, Program, packBatch, plan, trace } from '../../src';
import { positionsOf } from '../../src/data/batch/sources';
import { measurePeak } from './peak';

export type Precision = 'fp32' | 'bf16';

/** Why the processor has no bf16 for anyone, or undefined where it has. */
export const bf16Unsupported = (): string | undefined =>
  measurePeak('bf16', 1, 0.001) === undefined ? 'the processor has no instructions for bf16' : undefined;

let probed: Promise<string | undefined> | undefined;

/** Why our bf16 figures can not be had, or undefined where they can: asked once. */
export function ourBf16Missing(): Promise<string | undefined> {
  const unsupported = bf16Unsupported();
  if (unsupported) return Promise.resolve(unsupported);
  probed ??= probe();
  return probed;
}

/** Our precisions here, fp32 first. */
export const ourPrecisions = async (): Promise<Precision[]> => ((await ourBf16Missing()) ? ['fp32'] : ['fp32', 'bf16']);

/** PyTorch's: bf16 by autocast. */
export const peerPrecisions = (): Precision[] => (bf16Unsupported() ? ['fp32'] : ['fp32', 'bf16']);

/** A small model's logits in both precisions: the same bits mean that bf16 was not used. */
async function probe(): Promise<string | undefined> {
  const shape = { num_hidden_layers: 1, hidden_size: 64, num_attention_heads: 2, intermediate_size: 128 };
  const config = { model_type: 'bert', vocab_size: 32, max_position_embeddings: 16, type_vocab_size: 2, ...shape };
  const model = createModel(config, { task: 'sequence-classification', numLabels: 2 });
  const example: EncodedExample = {
    inputIds: Int32Array.of(1, 2, 3, 4),
    tokenTypeIds: new Int32Array(4),
    label: 0,
  };
  const batch = packBatch([example], Int32Array.of(0), positionsOf(model));
  const graph = trace(model, { training: false, loss: false });
  const logits = async (precision: Precision) => {
    const program = new Program(plan(graph, planOptions(precision, { train: false })), { backend: 'cpu' });
    await program.forward(batch);
    const values = program.read('logits');
    program.dispose();
    return values;
  };
  try {
    const [fp32, bf16] = [await logits('fp32'), await logits('bf16')];
    return fp32.every((value, i) => value === bf16[i]) ? 'fused-lora has no bf16 on this machine' : undefined;
  } catch (error) {
    return `fused-lora has no bf16: ${(error as Error).message}`;
  }
}

export const planOptions = (precision: Precision, options: PlanOptions): PlanOptions =>
  ({ ...options, precision }) as PlanOptions;
