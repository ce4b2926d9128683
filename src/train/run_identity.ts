/**
 * What a run must have in common with the checkpoint that it goes on from, beside what the trainer
 * compares itself: the base model. Checkpoints are written and compared in checkpoint.ts; data are
 * named by src/data/batch/fingerprint.ts.
 */
import { createHash } from 'node:crypto';
import type { Module } from '../nn';

/**
 * Values of each tensor that are compared: enough to tell two models apart, few enough to be read
 * one by one.
 */
const SAMPLES = 1024;

/** What is compared of a model: a TaskModel is one. */
type IdentifiedModel = Pick<Module, 'namedParameters'> & {
  readonly config: {
    readonly hiddenDropout: number;
    readonly attentionDropout: number;
    readonly classifierDropout: number | null;
  };
};

/**
 * The frozen values of a model in short: a checkpoint holds only what is trained, and would go on
 * with another base model of the same shape without complaint.
 */
function frozenValues(model: IdentifiedModel): string {
  const hash = createHash('sha256');
  for (const [name, parameter] of model.namedParameters()) {
    if (parameter.requiresGrad) continue;
    const every = Math.max(1, Math.ceil(parameter.count / SAMPLES));
    hash.update(`${name}:${parameter.shape.join('x')}\n`);
    hash.update(parameter.sample(every));
  }
  return hash.digest('hex').slice(0, 16);
}

/** @param settings what else must be the same; undefined where an option was not given. */
export function runIdentity(
  model: IdentifiedModel,
  settings: Readonly<Record<string, unknown>>,
): Record<string, string> {
  const { hiddenDropout, attentionDropout, classifierDropout } = model.config;
  const texts = Object.entries({ ...settings, dropout: [hiddenDropout, attentionDropout, classifierDropout] }).map(
    ([name, value]) => [name, JSON.stringify(value ?? null)],
  );
  return { 'base model (a checksum)': frozenValues(model), ...(Object.fromEntries(texts) as Record<string, string>) };
}
