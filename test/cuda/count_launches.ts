/**
 * Kernels of one training step of a RoBERTa with 12 layers at SST-2's lengths (32 sentences, 425
 * tokens), LoRA of rank 8 on query and value, in bf16: what launches.test.ts reads. Kernels are
 * launched and not run (FUSED_LORA_EMULATOR_FAULT=noKernels), so widths are small: the count does
 * not depend on them.
 */
import { addAdapter, createModel, type EncodedExample, Program, packBatch, plan, trace } from '../../src';
import { native } from '../../src/native';

const SENTENCES = 32;

const launches = () => native().info().cuda.launches ?? 0;

function batch() {
  const examples = Array.from({ length: SENTENCES }, (_, i): EncodedExample => {
    // 22, 13, and 12 and 14 in turns: 425 together.
    const length = i === 0 ? 22 : i === 1 ? 13 : 12 + 2 * (i % 2);
    return { inputIds: new Int32Array(length).fill(5), tokenTypeIds: new Int32Array(length), label: i % 2 };
  });
  return packBatch(
    examples,
    Int32Array.from(examples, (_, i) => i),
    { offset: 2 },
  );
}

async function main(): Promise<void> {
  const model = createModel(
    {
      model_type: 'roberta',
      vocab_size: 10,
      hidden_size: 128,
      num_hidden_layers: 12,
      num_attention_heads: 2,
      intermediate_size: 512,
      max_position_embeddings: 64,
      type_vocab_size: 1,
      pad_token_id: 1,
      hidden_act: 'gelu',
      layer_norm_eps: 1e-5,
      hidden_dropout_prob: 0.1,
      attention_probs_dropout_prob: 0.1,
    },
    { task: 'sequence-classification', numLabels: 2 },
  );
  addAdapter(model, { r: 8, loraAlpha: 16, targetModules: ['query', 'value'] }, { seed: 5 });
  const planned = plan(trace(model, { training: true, loss: true }), { train: true, precision: 'bf16' });
  const program = new Program(planned, { backend: 'cuda', cudaGraphs: false });
  const packed = batch();
  const count = async (work: () => Promise<unknown>) => {
    const before = launches();
    await work();
    return launches() - before;
  };
  const forward = await count(() => program.forward(packed, { seed: 1n, forwardNumber: 0 }));
  const accumulate = await count(() => program.accumulate(packed, { seed: 1n, forwardNumber: 1, zeroGradients: true }));
  const apply = await count(() =>
    program.apply({
      groups: [{ learningRate: 1e-3, beta1: 0.9, beta2: 0.999, eps: 1e-8, weightDecay: 0 }],
      groupOf: () => 0,
      step: 1,
      maxGradNorm: 1,
    }),
  );
  console.log(JSON.stringify({ tokens: packed.sizes.T, forward, accumulate, apply, step: accumulate + apply }));
  program.dispose();
  model.dispose();
}

main();
