/**
 * A model of each CUDA kernel: bytes and operations by formula, and the time that they take at the
 * speeds of a GPU's data sheet. docs/roofline.md is made of it: npx tsx benchmarks/gpu/roofline.ts
 * > docs/roofline.md No time here is measured. What is: bench:gpu (gpu.ts).
 */

/** From NVIDIA's data sheets, dense (without sparsity). */
export interface Gpu {
  name: string;
  /** FLOP/s of bf16 tensor cores and of fp32, operations/s of int8 tensor cores. */
  bf16: number;
  fp32: number;
  int8: number;
  /** Bytes/s of the memory. */
  bandwidth: number;
}
export const GPUS: readonly Gpu[] = [
  { name: 'A100 80 GB SXM', bf16: 312e12, fp32: 19.5e12, int8: 624e12, bandwidth: 2.039e12 },
  { name: 'H100 SXM', bf16: 989e12, fp32: 67e12, int8: 1979e12, bandwidth: 3.35e12 },
  { name: 'H200 SXM', bf16: 989e12, fp32: 67e12, int8: 1979e12, bandwidth: 4.8e12 },
];

/** A batch of equal sentences through one layer: T tokens in S sentences. */
export interface Sizes {
  tokens: number;
  sentences: number;
  hidden: number;
  inner: number;
  rank: number;
  layers: number;
}
const BASE = { hidden: 768, inner: 3072, rank: 8, layers: 12 };
/** SST-2 at batch 32, and a batch that fills a GPU. */
export const EXAMPLES: readonly Sizes[] = [
  { tokens: 425, sentences: 32, ...BASE },
  { tokens: 8192, sentences: 616, ...BASE },
];

export interface Kernel {
  name: string;
  /** The same as `bytes` and `flops`, for people. Activations are fp32, frozen weights bf16. */
  formulas: { bytes: string; flops: string };
  bytes(s: Sizes): number;
  flops(s: Sizes): number;
  /** What computes. */
  units: 'bf16' | 'fp32' | 'int8';
  /** Launches of it in one step with LoRA on query and value. */
  launches(s: Sizes): number;
}

/** Bytes and FLOP of y [T, N] = x [T, K] Wᵀ: each operand once. */
const productBytes = (T: number, N: number, K: number) => 4 * T * (K + N) + 2 * N * K;
const productFlops = (T: number, N: number, K: number) => 2 * T * N * K;
/** Σ L² over equal sentences. */
const squares = ({ tokens: T, sentences: S }: Sizes) => (T * T) / S;

export const KERNELS: readonly Kernel[] = [
  {
    name: 'addLayerNorm with u of query and value',
    formulas: { bytes: '16 T H + 8 T r + 8 r H', flops: '8 T H + 4 T H r' },
    bytes: ({ tokens: T, hidden: H, rank: r }) => 16 * T * H + 8 * T * r + 8 * r * H,
    flops: ({ tokens: T, hidden: H, rank: r }) => 8 * T * H + 4 * T * H * r,
    units: 'fp32',
    launches: ({ layers }) => layers - 2,
  },
  {
    name: 'addLayerNorm',
    formulas: { bytes: '16 T H', flops: '8 T H' },
    bytes: ({ tokens: T, hidden: H }) => 16 * T * H,
    flops: ({ tokens: T, hidden: H }) => 8 * T * H,
    units: 'fp32',
    launches: ({ layers }) => layers + 2,
  },
  {
    name: 'query, key and value, two of them with LoRA',
    formulas: { bytes: '16 T H + 6 H² + 8 T r + 4 H r', flops: '6 T H² + 4 T H r' },
    bytes: ({ tokens: T, hidden: H, rank: r }) => 16 * T * H + 6 * H * H + 8 * T * r + 4 * H * r,
    flops: ({ tokens: T, hidden: H, rank: r }) => 6 * T * H * H + 4 * T * H * r,
    units: 'bf16',
    launches: ({ layers }) => layers,
  },
  {
    name: 'attention',
    formulas: { bytes: '16 T H', flops: '4 H Σ L²' },
    bytes: ({ tokens: T, hidden: H }) => 16 * T * H,
    flops: (s) => 4 * s.hidden * squares(s),
    units: 'fp32',
    launches: ({ layers }) => layers,
  },
  {
    name: 'linear H → H',
    formulas: { bytes: '8 T H + 2 H²', flops: '2 T H²' },
    bytes: ({ tokens: T, hidden: H }) => productBytes(T, H, H),
    flops: ({ tokens: T, hidden: H }) => productFlops(T, H, H),
    units: 'bf16',
    launches: ({ layers }) => 2 * layers,
  },
  {
    name: 'linear H → I with GELU, z kept',
    formulas: { bytes: '4 T (H + 2 I) + 2 H I', flops: '2 T H I' },
    bytes: ({ tokens: T, hidden: H, inner: I }) => productBytes(T, I, H) + 4 * T * I,
    flops: ({ tokens: T, hidden: H, inner: I }) => productFlops(T, I, H),
    units: 'bf16',
    launches: ({ layers }) => 2 * layers,
  },
  {
    name: 'linear I → H',
    formulas: { bytes: '4 T (H + I) + 2 H I', flops: '2 T H I' },
    bytes: ({ tokens: T, hidden: H, inner: I }) => productBytes(T, H, I),
    flops: ({ tokens: T, hidden: H, inner: I }) => productFlops(T, H, I),
    units: 'bf16',
    launches: ({ layers }) => 2 * layers,
  },
  {
    name: 'addLayerNormBackward',
    formulas: { bytes: '16 T H', flops: '12 T H' },
    bytes: ({ tokens: T, hidden: H }) => 16 * T * H,
    flops: ({ tokens: T, hidden: H }) => 12 * T * H,
    units: 'fp32',
    launches: ({ layers }) => 2 * layers,
  },
  {
    name: 'attentionBackward, dq',
    formulas: { bytes: '20 T H', flops: '8 H Σ L²' },
    bytes: ({ tokens: T, hidden: H }) => 20 * T * H,
    flops: (s) => 8 * s.hidden * squares(s),
    units: 'fp32',
    launches: ({ layers }) => layers,
  },
  {
    name: 'attentionBackward, dk and dv',
    formulas: { bytes: '24 T H', flops: '8 H Σ L²' },
    bytes: ({ tokens: T, hidden: H }) => 24 * T * H,
    flops: (s) => 8 * s.hidden * squares(s),
    units: 'fp32',
    launches: ({ layers }) => layers,
  },
  {
    name: 'v of query and value',
    formulas: { bytes: '8 T H + 8 T r + 8 r H', flops: '4 T H r' },
    bytes: ({ tokens: T, hidden: H, rank: r }) => 8 * T * H + 8 * T * r + 8 * r * H,
    flops: ({ tokens: T, hidden: H, rank: r }) => 4 * T * H * r,
    units: 'bf16',
    launches: ({ layers }) => layers,
  },
  {
    name: 'dx of query, key and value, dA and dB of two',
    formulas: { bytes: '24 T H + 6 H² + 16 T r + 16 r H', flops: '6 T H² + 12 T H r' },
    bytes: ({ tokens: T, hidden: H, rank: r }) => 24 * T * H + 6 * H * H + 16 * T * r + 16 * r * H,
    flops: ({ tokens: T, hidden: H, rank: r }) => 6 * T * H * H + 12 * T * H * r,
    units: 'bf16',
    launches: ({ layers }) => layers,
  },
];

/** Bytes of a weight in NF4 with its scales. */
const NF4_BYTES = 0.516;

/** Instead of the products above, with frozen weights in int8 or NF4 (baseWeights). */
export const HELD_KERNELS: readonly Kernel[] = [
  {
    name: 'int8: codes of rows of H',
    formulas: { bytes: '5 T H + 4 T', flops: '2 T H' },
    bytes: ({ tokens: T, hidden: H }) => 5 * T * H + 4 * T,
    flops: ({ tokens: T, hidden: H }) => 2 * T * H,
    units: 'fp32',
    launches: ({ layers }) => 10 * layers,
  },
  {
    name: 'int8: codes of rows of I',
    formulas: { bytes: '5 T I + 4 T', flops: '2 T I' },
    bytes: ({ tokens: T, inner: I }) => 5 * T * I + 4 * T,
    flops: ({ tokens: T, inner: I }) => 2 * T * I,
    units: 'fp32',
    launches: ({ layers }) => 2 * layers,
  },
  {
    name: 'int8: linear H → H',
    formulas: { bytes: '5 T H + H²', flops: '2 T H²' },
    bytes: ({ tokens: T, hidden: H }) => 5 * T * H + H * H,
    flops: ({ tokens: T, hidden: H }) => productFlops(T, H, H),
    units: 'int8',
    launches: ({ layers }) => 8 * layers,
  },
  {
    name: 'int8: linear H → I with GELU, z kept',
    formulas: { bytes: 'T H + 8 T I + H I', flops: '2 T H I' },
    bytes: ({ tokens: T, hidden: H, inner: I }) => T * H + 8 * T * I + H * I,
    flops: ({ tokens: T, hidden: H, inner: I }) => productFlops(T, I, H),
    units: 'int8',
    launches: ({ layers }) => 2 * layers,
  },
  {
    name: 'int8: linear I → H',
    formulas: { bytes: 'T I + 4 T H + H I', flops: '2 T H I' },
    bytes: ({ tokens: T, hidden: H, inner: I }) => T * I + 4 * T * H + H * I,
    flops: ({ tokens: T, hidden: H, inner: I }) => productFlops(T, H, I),
    units: 'int8',
    launches: ({ layers }) => 2 * layers,
  },
  {
    name: 'NF4: linear H → H',
    formulas: { bytes: '8 T H + 0.516 H²', flops: '2 T H²' },
    bytes: ({ tokens: T, hidden: H }) => 8 * T * H + NF4_BYTES * H * H,
    flops: ({ tokens: T, hidden: H }) => productFlops(T, H, H),
    units: 'bf16',
    launches: ({ layers }) => 8 * layers,
  },
  {
    name: 'NF4: linear H → I with GELU, z kept',
    formulas: { bytes: '4 T H + 8 T I + 0.516 H I', flops: '2 T H I' },
    bytes: ({ tokens: T, hidden: H, inner: I }) => 4 * T * H + 8 * T * I + NF4_BYTES * H * I,
    flops: ({ tokens: T, hidden: H, inner: I }) => productFlops(T, I, H),
    units: 'bf16',
    launches: ({ layers }) => 2 * layers,
  },
  {
    name: 'NF4: linear I → H',
    formulas: { bytes: '4 T I + 4 T H + 0.516 H I', flops: '2 T H I' },
    bytes: ({ tokens: T, hidden: H, inner: I }) => 4 * T * I + 4 * T * H + NF4_BYTES * H * I,
    flops: ({ tokens: T, hidden: H, inner: I }) => productFlops(T, H, I),
    units: 'bf16',
    launches: ({ layers }) => 2 * layers,
  },
];

/** Seconds, and what they go to. */
export function modelled(kernel: Kernel, s: Sizes, gpu: Gpu): { seconds: number; bound: 'memory' | 'arithmetic' } {
  const memory = kernel.bytes(s) / gpu.bandwidth;
  const arithmetic = kernel.flops(s) / gpu[kernel.units];
  return memory >= arithmetic ? { seconds: memory, bound: 'memory' } : { seconds: arithmetic, bound: 'arithmetic' };
}

const row = (cells: readonly string[]) => `| ${cells.join(' | ')} |`;
const table = (header: readonly string[], rows: readonly (readonly string[])[]) =>
  [row(header), row(header.map(() => '---')), ...rows.map(row)].join('\n');
const microseconds = (seconds: number) => (seconds * 1e6).toFixed(seconds < 1e-5 ? 1 : 0);

const formulaTable = (kernels: readonly Kernel[]) =>
  table(
    ['kernel', 'bytes', 'FLOP', 'by'],
    kernels.map(({ name, formulas: f, units }) => [name, f.bytes, f.flops, units]),
  );
const timesOf = (kernels: readonly Kernel[], s: Sizes) =>
  kernels.map((kernel) => [
    kernel.name,
    ...GPUS.map((gpu) => microseconds(modelled(kernel, s, gpu).seconds)),
    GPUS.map((gpu) => modelled(kernel, s, gpu).bound[0]).join(' '),
    String(kernel.launches(s)),
    '',
  ]);

export function rooflinePage(): string {
  const times = EXAMPLES.map((s) => {
    const step = GPUS.map((gpu) =>
      microseconds(KERNELS.reduce((sum, kernel) => sum + kernel.launches(s) * modelled(kernel, s, gpu).seconds, 0)),
    );
    return `## ${s.tokens} tokens in ${s.sentences} sentences\n\n${table(
      ['kernel', ...GPUS.map(({ name }) => `${name}, µs`), 'bound', 'a step', 'measured, µs'],
      [
        ...timesOf(KERNELS, s),
        ['**all of them, as often as a step has them**', ...step, '', '', ''],
        ...timesOf(HELD_KERNELS, s),
      ],
    )}`;
  });
  return `# What the CUDA kernels should take

**A model. Nothing on this page is measured:** no GPU has run these kernels
([the ledger](../benchmarks/gpu-ledger.md)). It is made of formulas and data sheets by
\`npx tsx benchmarks/gpu/roofline.ts > docs/roofline.md\`, and is there to be held against the first
measurement: a kernel far above its time is the one to look at.

A kernel takes the longer of its bytes over the memory's speed and its operations over the
arithmetic's. Each operand counts once a launch, whatever a cache keeps, and launching costs
nothing. So real times are longer; for few tokens, where a launch takes some 2 to 3 µs, much
longer.

${table(
  ['data sheet, dense', 'bf16, TFLOP/s', 'fp32, TFLOP/s', 'int8, TOP/s', 'memory, TB/s'],
  GPUS.map((gpu) => [gpu.name, ...[gpu.bf16, gpu.fp32, gpu.int8, gpu.bandwidth].map((speed) => String(speed / 1e12))]),
)}

## Formulas

RoBERTa in bf16, LoRA of rank r on query and value: T tokens, H hidden, I inner, L the length of a
sentence. Activations are fp32 in memory, frozen weights bf16. Attention computes in fp32.

${formulaTable(KERNELS)}

With \`baseWeights\` the products are these instead, adapters left out: those of int8 have their rows
made into codes by a launch before each; those of NF4 expand W to bf16 as they read it.

${formulaTable(HELD_KERNELS)}

Times below are RoBERTa-base's (H = ${BASE.hidden}, I = ${BASE.inner}, ${BASE.layers} layers) with r = ${BASE.rank}. "bound" names what
each GPU waits for: m memory, a arithmetic.

${times.join('\n\n')}
`;
}

if (require.main === module) process.stdout.write(rooflinePage());
