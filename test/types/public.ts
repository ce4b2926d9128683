/**
 * The types that users see, held by `tsc --noEmit` (a part of npm test): options refuse what is
 * wrong, results have exactly the types that are written here. Nothing here runs.
 */
import {
  addAdapter,
  Classifier,
  classify,
  createModel,
  type ErrorCode,
  type EvaluateResult,
  type Evaluation,
  evaluate,
  type FineTuneOptions,
  type FineTuneResult,
  FusedLoraError,
  fineTune,
  type LoraConfig,
  loadModel,
  type openTextModel,
  type Precision,
  type Prediction,
  type PretrainResult,
  pretrain,
  type StepEvent,
  type Task,
  type TextModel,
  Trainer,
  type TrainerCallbacks,
  type TrainResult,
} from '../../src';
import {
  type DeviceTensor,
  type HostTensor,
  type KernelTensor,
  linear,
  loraLinear,
  loraLinearBackward,
} from '../../src/kernels';

type Equal<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;
/** An error of the compiler unless both are the same type. */
const same = <A, B>(..._: Equal<A, B> extends true ? [] : ['these types differ', A, B]): void => {};

declare const textModel: TextModel;
declare const tensor: HostTensor;

/** Results. */
export async function results(): Promise<void> {
  const tuned = await fineTune({ model: 'm', train: [{ text: 'a', label: 'b' }], outputDir: 'o' });
  same<typeof tuned, FineTuneResult>();
  same<typeof tuned.metrics, Record<string, number> | undefined>();
  same<typeof tuned.precision, Precision>();
  same<Precision, 'fp32' | 'bf16'>();
  same<typeof tuned.training, TrainResult>();
  same<typeof tuned.output.kind, 'adapter' | 'model'>();
  same<typeof tuned.examples, { train: number | null; dev: number }>();

  const predictions = await classify(textModel, ['a', { text: 'b', textPair: 'c' }, { tokens: ['d'] }]);
  same<typeof predictions, Prediction[]>();
  same<Prediction['label'], string | undefined>();
  same<Prediction['probabilities'], Record<string, number> | undefined>();
  same<Awaited<ReturnType<Classifier['predict']>>, Prediction[]>();
  same<Awaited<ReturnType<typeof evaluate>>, EvaluateResult>();
  same<Awaited<ReturnType<typeof pretrain>>, PretrainResult>();
  same<Awaited<ReturnType<typeof openTextModel>>, TextModel>();
  same<Evaluation['logits'], Float32Array[]>();
  same<ReturnType<typeof loadModel>['model']['task'], Task>();
  same<FusedLoraError['code'], ErrorCode>();
  same<Parameters<NonNullable<TrainerCallbacks['onStep']>>[0], StepEvent>();

  const { y, u, seconds } = await loraLinear({ x: tensor, weight: tensor, A: tensor, B: tensor, scaling: 2 });
  same<typeof y, KernelTensor>();
  same<typeof u, KernelTensor>();
  same<typeof seconds, number>();
  same<KernelTensor, HostTensor | DeviceTensor>();
  const gradients = await loraLinearBackward({
    ...{ dy: tensor, x: tensor, u: tensor, weight: tensor, A: tensor, B: tensor, scaling: 2 },
    ...{ dx: null, fused: false },
  });
  same<typeof gradients.dx, KernelTensor | undefined>();
  same<typeof gradients.dA, KernelTensor>();
}

/** What is right, in every form. */
export const RIGHT: FineTuneOptions[] = [
  { model: 'm', train: 'a.csv', outputDir: 'o' },
  { model: textModel, train: ['a.csv', 'b.csv.gz'], dev: 'c.parquet', textColumn: 0, outputDir: 'o' },
  { model: 'm', train: async function* () {}, stream: true, maxSteps: 3, outputDir: 'o' },
  { model: 'm', train: [{ text: 'a', label: ['x', 'y'] }], task: 'multi-label-classification', outputDir: 'o' },
  { model: 'm', train: [{ tokens: ['a'], labels: ['O'] }], task: 'token-classification', outputDir: 'o' },
  { model: 'm', train: [{ text: 'a', label: 1.5 }], task: 'regression', method: 'full', outputDir: 'o' },
  {
    model: 'm',
    train: [],
    method: { trainable: 'bias$' },
    evaluateEvery: 'epoch',
    checkpointEvery: 10,
    outputDir: 'o',
  },
];

/** What is wrong: each line is an error of the compiler, or this file is. */
export function wrong(): void {
  const good = { model: 'm', train: [{ text: 'a', label: 'b' }], outputDir: 'o' };
  // @ts-expect-error: the output folder is required
  void fineTune({ model: 'm', train: [] });
  // @ts-expect-error: the data are required
  void fineTune({ model: 'm', outputDir: 'o' });
  // @ts-expect-error: no such option
  void fineTune({ ...good, learningrate: 1e-3 });
  // @ts-expect-error: no such method
  void fineTune({ ...good, method: 'qlora' });
  // @ts-expect-error: no such task
  void fineTune({ ...good, task: 'masked-lm' });
  // @ts-expect-error: a rate is a number
  void fineTune({ ...good, learningRate: '1e-3' });
  // @ts-expect-error: no such device
  void fineTune({ ...good, device: 'gpu' });
  // @ts-expect-error: no such precision
  void fineTune({ ...good, precision: 'fp16' });
  // @ts-expect-error: no such schedule
  void fineTune({ ...good, schedule: 'zigzag' });
  // @ts-expect-error: steps or 'epoch'
  void fineTune({ ...good, evaluateEvery: 'step' });
  // @ts-expect-error: PEFT's names in camel case
  void fineTune({ ...good, lora: { lora_alpha: 16 } });
  // @ts-expect-error: the trainer's graph is fineTune's own affair
  void fineTune({ ...good, trace: () => undefined });
  // @ts-expect-error: an example needs a text
  void fineTune({ ...good, train: [{ label: 'b' }] });
  // @ts-expect-error: texts are a list
  void pretrain({ model: 'm', text: 'a.txt', outputDir: 'o' });
  // @ts-expect-error: it wants an opened model
  void classify('my-adapter', ['a']);
  // @ts-expect-error: texts are strings or examples
  void classify(textModel, [3]);
  // @ts-expect-error: no such option
  new Classifier(textModel, { batchSize: 3 });
  // @ts-expect-error: it wants examples or files
  void evaluate(textModel, 3);
  // @ts-expect-error: no such task
  loadModel('m', { task: 'chat' });
  // @ts-expect-error: it wants the content of a config.json
  createModel('config.json');
  // @ts-expect-error: a rank is a number
  addAdapter(textModel.model, { r: '8' });
  // @ts-expect-error: no such initialisation
  const config: LoraConfig = { initLoraWeights: 'pissa' };
  void config;
  // @ts-expect-error: a trainer needs a rate
  new Trainer({ trace: () => undefined as never });
  // @ts-expect-error: no such code
  new FusedLoraError('NO_SUCH_CODE', 'text');
  // @ts-expect-error: values are 32-bit floats
  void linear({ x: { data: new Float64Array(1), shape: [1, 1] }, weight: tensor });
  // @ts-expect-error: the scaling is required
  void loraLinear({ x: tensor, weight: tensor, A: tensor, B: tensor });
  // @ts-expect-error: no such activation
  void linear({ x: tensor, weight: tensor, activation: 'swish' });
  // @ts-expect-error: no such backend
  void linear({ x: tensor, weight: tensor }, { backend: 'tpu' });
}
