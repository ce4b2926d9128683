/**
 * One run from its options to its folder: load, wrap, train, evaluate, save.
 * What it can be told is in options/; each part of the job is in a file of its own beside this one,
 * and several runs at once are fine_tune.ts.
 */
import * as fs from 'node:fs';
import * as path from 'node:path';
import { FusedLoraError } from '../base/errors';
import { numberCut, sourceOf, sourceOfTraining } from '../data/batch/sources';
import { encodeFor, noteOnEmptyTexts } from '../data/tokenize/encode_for_task';
import { fromFirst } from '../distributed/collectives';
import type { Group } from '../distributed/group';
import { joinGroup } from '../distributed/join';
import { type BaseWeights, describeHeldWeights, type EmbeddingWeights } from '../graph/base_weights';
import { Parameter } from '../graph/parameter';
import type { Precision } from '../graph/precision';
import type { Graph } from '../graph/value';
import { checkOutput } from '../io/find_model';
import { initializeLoftq, parameterTable, saveAdapter } from '../lora';
import { targetsWithoutModule } from '../lora/match';
import { adapterEntry } from '../lora/registry';
import { analyzeErrors } from '../metrics/error_analysis';
import type { Evaluation } from '../metrics/evaluation';
import { measure } from '../metrics/measure';
import { saveModel } from '../models';
import { type LossOptions, trace } from '../nn';
import { RunLog } from '../report/run_log';
import { writeSubspace } from '../subspace/files';
import { Subspace } from '../subspace/subspace';
import { subspaceProgram } from '../subspace/subspace_program';
import { listCheckpoints } from '../train/checkpoint';
import { Evaluator } from '../train/evaluate';
import type { RunEvent } from '../train/events';
import { FrozenPart } from '../train/kept_source';
import type { TrainerOptions } from '../train/options';
import { prepareOutput } from '../train/output';
import { runIdentity } from '../train/run_identity';
import type { Seat } from '../train/shared_steps';
import { tensorBoardLog } from '../train/tensorboard';
import { Trainer, type TrainResult } from '../train/trainer';
import { describeMeaning, type Found, type MeaningFigures, meaningFigures } from './meaning/describe';
import { type TrainedIn, writeRecord, writeTokenizer } from './meaning/record';
import { applyMethod, kindOf, nameOfMethod, subspaceOf } from './method';
import { checkOutputDir } from './options/check_options';
import type { FineTuneOptions, LossChoice } from './options/fine_tune_options';
import { type ResolvedFineTune, resolveFineTune } from './options/resolve_fine_tune';
import { dataFacts, lengthsOf, settingsFrom, startEvent } from './run_facts';
import type { SharedBase } from './shared_base';
import { identityOfAdapter } from './start/adapter_folder';
import { newWeightsOfRun, openForTraining } from './start/open_for_training';
import type { TextModel } from './text_model';

/** What a run among several has beside its options. */
export interface PlaceTogether {
  seat: Seat;
  base: SharedBase;
}

/** What `fineTune` did, and the model. */
export interface FineTuneResult {
  method: string;
  labelNames: string[];
  /** What the model means, and who said so: see docs/meaning.md. */
  meaning: MeaningFigures;
  parameters: { total: number; learnable: number };
  /** Numbers of examples; of a stream that is read once, null. */
  examples: { train: number | null; dev: number };
  /** Why this device: `cpu (avx512, 2 threads): …`. */
  device: string;
  /** What products were computed in. */
  precision: Precision;
  /** What the frozen weights of layers were held in. */
  baseWeights: BaseWeights;
  /** What the frozen word embeddings were held in. */
  embeddingWeights: EmbeddingWeights;
  training: TrainResult;
  /** Of the saved state on `dev`; absent without it. */
  metrics?: Record<string, number>;
  /** What was written. */
  output: { kind: 'adapter' | 'model'; folder: string; bytes: number };
  /** The report, where one was asked for and could be written. */
  report?: string;
  /** The trained model, for `classify` and more; dispose of `textModel.model` when done. */
  textModel: TextModel;
}

/**
 * One run.
 *
 * @param place among runs that are trained together.
 * @throws FusedLoraError see `fineTune`.
 */
export async function runFineTune(options: FineTuneOptions, place?: PlaceTogether): Promise<FineTuneResult> {
  const group = await joinGroup(options.distributed);
  try {
    return await runOn(group, options, place);
  } catch (error) {
    await group.fail(error);
    throw error;
  }
}

/** A run, or what one of its ranks does of it. */
async function runOn(
  group: Group & { description?: string },
  options: FineTuneOptions,
  place: PlaceTogether | undefined,
): Promise<FineTuneResult> {
  const run = resolveFineTune(options);
  checkOutputDir(options.outputDir);
  const { outputDir, report: wantsReport = false, resume, overwrite } = options;
  const isFirst = group.rank === 0;
  const onNotice = (isFirst ? options.onNotice : undefined) ?? (() => {});
  const named = typeof run.model === 'object' ? run.model : { baseModel: run.model };
  const from = run.adapter === undefined ? named : { ...named, adapter: run.adapter.place };
  checkOutput(outputDir, kindOf(run.method), from);
  using _lock = isFirst ? prepareOutput(outputDir, { resume, overwrite }) : undefined;
  const log = new RunLog(outputDir, { report: wantsReport, silent: !isFirst, onNotice });
  const { seed } = run.modelSettings;
  const { method, precision, baseWeights, embeddingWeights, backend, sizes, loss } = run;
  const { signal } = run.hub;
  if (group.description !== undefined) onNotice(`distributed: ${group.description}`);
  const opened = await openForTraining(run, log);
  const { textModel, data, labels } = opened;
  const { model, meaning } = textModel;
  onNotice(`device: ${run.device}, precision ${precision}${describeHeldWeights(run)}`);

  const resumed = resume ? listCheckpoints(outputDir).at(-1)?.path : undefined;
  const newWeights = await fromFirst(group, newWeightsOfRun(textModel, resumed, onNotice));
  const newModules = newWeights.map(({ path }) => path);
  const kind = applyMethod(model, run, newModules);
  if (run.lora?.resolved.initLoraWeights === 'loftq')
    await log.timed('loading', () => initializeLoftq(model, baseWeights));
  const targets = run.lora?.resolved.targetModules;
  for (const name of typeof targets === 'object' ? targetsWithoutModule(model, targets) : []) {
    onNotice(`target modules: no Linear module is called "${name}" (targetModules, --target-modules)`);
  }
  using _base = place?.base.share(model);
  const inSubspace = subspaceOf(method, seed);
  if (inSubspace && group.size > 1) refuseSubspace();
  const subspace = inSubspace && new Subspace(model, inSubspace);
  // Its weights are its own, and no step of it can be another run's.
  if (subspace) place?.seat.leave();
  const { total, learnable: trainable } = parameterTable(model);
  const learnable = inSubspace?.dimension ?? trainable;
  const { shuffleWindow } = run.data;
  const { source: train, cut } = await log.timed('encoding', () =>
    sourceOfTraining(data, textModel, { ...sizes, seed, shuffleWindow }, signal),
  );
  const dev =
    data.dev && (await log.timed('encoding', () => encodeFor(textModel, data.dev!, signal, undefined, 'take')));
  const note = noteOnEmptyTexts(data.dev ?? []);
  if (note) onNotice(note);
  const evaluation = dev && sourceOf(model, dev, { ...sizes, shuffle: false });
  const examples = { train: train.singlePass ? null : train.numExamples, dev: dev?.length ?? 0 };
  const found: Found = {
    labels,
    newWeights,
    ...(cut !== undefined && { train: { texts: train.numExamples, cut } }),
    ...(dev && { dev: { texts: dev.length, cut: numberCut(dev) } }),
  };
  for (const line of describeMeaning(meaning, found)) onNotice(line);
  if (data.split) onNotice(`${examples.dev} of ${examples.dev + train.numExamples} examples set aside to measure on`);
  const lossOptions = lossOptionsOf(loss);
  using frozen =
    run.kept && FrozenPart.of(trace(model, { training: false, loss: false }), run.kept, { backend, precision });
  if (run.kept) {
    onNotice(
      frozen
        ? `frozen layers run once for each text, without dropout: ${(100 * frozen.share).toFixed(0)} % of a forward pass`
        : 'nothing is kept: what is trained begins at the bottom of the model (keepFrozen, --keep-frozen)',
    );
  }
  const after = (graph: Graph) => frozen?.after(graph) ?? graph;
  const trainerOptions: TrainerOptions = {
    ...run.trainer,
    group,
    outputDir,
    identity: runIdentity(model, {
      method,
      lora: run.lora?.resolved,
      'initial adapter (a checksum)': run.adapter && identityOfAdapter(textModel.adapter as string),
      labelSmoothing: loss.labelSmoothing,
      classWeights: loss.classWeights,
      // Of a run without, as it was before there was the option.
      ...(frozen && { keepFrozen: true }),
    }),
    trace: (o) => after(trace(model, { ...o, lossOptions })),
    backend,
    callbacks: [
      log.callbacks,
      ...(options.tensorboard === true && isFirst ? [tensorBoardLog(outputDir)] : []),
      ...(run.trainer.maxSteps === undefined ? [tellFewSteps(onNotice)] : []),
      ...(run.trainer.callbacks ?? []),
    ],
    ...(evaluation && { evaluate: () => evaluateDev() }),
  };
  using trainer = new Trainer(trainerOptions, subspace ? subspaceProgram(subspace) : place?.seat.makeProgram);
  using evaluator =
    evaluation &&
    new Evaluator({ trace: (o) => after(trace(model, o)), backend, precision, baseWeights, embeddingWeights, group });
  let last: Evaluation | undefined;
  const evaluateDev = () =>
    log.timed('evaluation', async () => {
      await subspace?.materialize(backend);
      // Ranks stop between steps, all at the same one.
      const stop = group.size === 1 ? signal : undefined;
      last = await evaluator!.run(frozen?.source(evaluation!) ?? evaluation!, stop);
      return measure(model, last, dev!);
    });

  // Whatever options and data make impossible has been told by now.
  log.start(
    startEvent(model, {
      task: model.task,
      method: nameOfMethod(method),
      seed,
      device: run.device,
      settings: loggedSettings(run, textModel),
      labelNames: model.labelNames,
      meaning: meaningFigures(meaning, found),
      data: { train: dataFacts(train.lengthsOfExamples()), ...(dev && { dev: dataFacts(lengthsOf(dev)) }) },
    }),
  );
  try {
    const training = await trainer.train(frozen?.source(train) ?? train);
    log.add('training', training.seconds);
    // What was measured last may be neither the best state, which is the one that is kept, nor of
    // this process.
    const stale =
      training.metrics === undefined || (training.bestStep !== null && training.bestStep !== training.steps);
    const metrics = evaluation ? (stale ? await evaluateDev() : training.metrics) : undefined;
    await subspace?.materialize(backend);
    const trainedIn = { precision, baseWeights, embeddingWeights, subspace, seed };
    const saved = isFirst ? await log.timed('saving', () => save(textModel, kind, outputDir, trainedIn)) : null;
    // The others end when it is written, and not before.
    const output = (await fromFirst(group, saved)) as NonNullable<typeof saved>;
    if (last) log.errors(training.bestStep ?? training.steps, analyzeErrors(model, last, dev!, data.dev!));
    const reportFile = log.end({ ...(metrics && { metrics }), output, training: { ...training } });
    return {
      method: nameOfMethod(method),
      labelNames: model.labelNames,
      meaning: meaningFigures(meaning, found),
      parameters: { total, learnable },
      examples,
      device: run.device,
      precision,
      baseWeights,
      embeddingWeights,
      training,
      ...(metrics && { metrics }),
      output,
      ...(reportFile !== undefined && { report: reportFile }),
      textModel,
    };
  } catch (error) {
    log.stop(error);
    throw error;
  }
}

function refuseSubspace(): never {
  throw new FusedLoraError(
    'UNSUPPORTED',
    'the method subspace trains on one process alone: take lora, head, full or trainable (method, --method), or start one process',
  );
}

/**
 * Defaults are for thousands of examples; whoever begins with fifty should be told why nothing was
 * learnt.
 */
const FEW_STEPS = 20;

/** @param onNotice told where a run that was not given its number of steps has few. */
function tellFewSteps(onNotice: (line: string) => void) {
  return {
    onStart({ step, totalSteps }: RunEvent): void {
      if (step > 0 || totalSteps >= FEW_STEPS) return;
      onNotice(
        `only ${totalSteps} steps in all, which teach a new classifier little: take smaller batches (batchSize, --batch-size) or more epochs (epochs, --epochs)`,
      );
    },
  };
}

/** Every option with the value that it has, what the model decided among them. */
function loggedSettings(run: ResolvedFineTune, { model, baseModel, maxLength }: TextModel): Record<string, unknown> {
  return settingsFrom(run.settings, {
    model: baseModel,
    task: model.task,
    maxLength,
    precision: run.precision,
    labelNames: undefined,
    // Of an adapter that is trained on, what its files say.
    ...(run.adapter && { lora: adapterEntry(model, 'default').config }),
  });
}

function lossOptionsOf({ labelSmoothing, classWeights }: LossChoice): LossOptions {
  return {
    labelSmoothing,
    classWeights:
      classWeights &&
      new Parameter([classWeights.length], Float32Array.from(classWeights), {
        requiresGrad: false,
        name: 'classWeights',
      }),
  };
}

function save(
  textModel: TextModel,
  kind: 'adapter' | 'model',
  dir: string,
  { subspace, seed, ...trained }: TrainedIn & { subspace: Subspace | undefined; seed: number },
) {
  const { model, baseModelName, baseModelRevision } = textModel;
  // The tokenizer that it was trained with: the base may have another one, or come to have one.
  const extra = (folder: string) => {
    writeRecord(folder, textModel, trained);
    // A point of some kilobytes takes the base's with it where it has to alone.
    if (!subspace || textModel.tokenizerDir !== textModel.baseModel) writeTokenizer(folder, textModel);
  };
  const file = kind === 'adapter' ? 'adapter_model.safetensors' : 'model.safetensors';
  if (subspace) {
    const { initialized } = textModel.report;
    const head = { numLabels: model.numLabels, initialized, modelSeed: seed };
    writeSubspace(dir, subspace, { name: baseModelName, revision: baseModelRevision, ...head }, extra);
  } else if (kind === 'adapter')
    saveAdapter(model, dir, { baseModel: baseModelName, revision: baseModelRevision, extra });
  else saveModel(model, dir, { extra });
  const bytes = fs.statSync(path.join(dir, file), { throwIfNoEntry: false })?.size ?? 0;
  return { kind, folder: dir, bytes };
}
