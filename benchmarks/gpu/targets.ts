/**
 * Ratios to reach on one H200, held against what bench:gpu measured.
 * Those for CPUs are in benchmarks/targets.json; both are judged by lib/targets.ts.
 */
import type { Figure, Section } from '../lib/result';
import { judge, judgedHeader, judgedRow, summaryOf, type Target } from '../lib/targets';

const target = (name: string, figure: string, must: string, stretch: string, note: string): Target => ({
  ...{ name, run: 'gpu', figure, unit: 'x', must, stretch, note },
});

export const GPU_TARGETS: readonly Target[] = [
  target(
    'fused LoRA layer, forward and backward, over PEFT eager',
    'gpu.linear.bf16.peftEagerOverFused',
    '>= 1.3',
    '>= 2.2',
    "bf16, geometric mean over RoBERTa-base's and -large's shapes",
  ),
  target(
    'step over HF Trainer + PEFT',
    'gpu.step.trainerOverFused',
    '>= 15',
    '>= 20',
    "bf16, RoBERTa-base, SST-2's lengths in random batches of 32",
  ),
  target(
    'step over the best with torch.compile',
    'gpu.step.compiledBestOverFused',
    '>= 3',
    '>= 5',
    'the same; the fastest of Trainer and loop, with and without CUDA graphs',
  ),
  target("peak device memory of PEFT's", 'gpu.step.memoryOfPeft', '<= 0.6', '<= 0.5', 'the same; HF Trainer + PEFT'),
  target(
    'LoRA step over own full fine-tuning step',
    'gpu.step.fullOverLora',
    '>= 1.3',
    '>= 1.5',
    'the same; LoRA r = 8 on query and value',
  ),
  target(
    "Hopper: own product over cuBLASLt's",
    'gpu.hopper.productOfCublasLt',
    '>= 0.97',
    '>= 1.02',
    "geometric mean over RoBERTa-base's and -large's shapes, 8,192 and 32,768 tokens",
  ),
  target(
    'Hopper: fused forward over the bare product, 768² and 1024²',
    'gpu.hopper.forwardSquareOfCublasLt',
    '>= 0.86',
    '>= 0.92',
    'r = 16, u made in the same kernel',
  ),
  target(
    'Hopper: the same, N or K >= 2304',
    'gpu.hopper.forwardWideOfCublasLt',
    '>= 0.88',
    '>= 0.95',
    'r = 16, u as the kernel before leaves it',
  ),
  target('Hopper: the same, r = 64', 'gpu.hopper.forwardRank64OfCublasLt', '>= 0.72', '>= 0.84', 'all shapes'),
];

/** @param measured the benchmarks whose figures are there: "linear", "step". */
export function targetSection(figures: Record<string, Figure>, measured: readonly string[]): Section {
  const asked = GPU_TARGETS.filter(({ figure }) => measured.some((name) => figure.startsWith(`gpu.${name}.`)));
  const rows = judge(asked, new Map([['gpu', figures]]));
  return {
    title: 'figures to reach on one H200',
    note: summaryOf(rows),
    header: judgedHeader,
    rows: rows.map(judgedRow),
  };
}
