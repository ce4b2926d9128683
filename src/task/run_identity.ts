/** What a run has in common with the checkpoint that it goes on from, beside what the trainer compares itself. */
import { createHash } from 'node:crypto';
import type { TaskModel } from '../models';

/** Values of each tensor that are compared: enough to tell two models apart, few enough to cost no more than reading them. */
const SAMPLES = 1024;

/**
 * The frozen values of a model in short: a checkpoint holds only what is trained, and would go on with another base model of the same shape without
 * complaint.
 */
function frozenValues(model: TaskModel): string {
  const hash = createHash('sha256');
  for (const [name, parameter] of model.namedParameters()) {
    if (parameter.requiresGrad) continue;
    const values = parameter.data();
    const every = Math.max(1, Math.ceil(values.length / SAMPLES));
    hash.update(`${name}:${parameter.shape.join('x')}\n`);
    hash.update(Float32Array.from({ length: Math.ceil(values.length / every) }, (_, i) => values[i * every] as number));
  }
  return hash.digest('hex').slice(0, 16);
}

/** @param settings what else must be the same; undefined where an option was not given. */
export function runIdentity(model: TaskModel, settings: Readonly<Record<string, unknown>>): Record<string, string> {
  const { hiddenDropout, attentionDropout, classifierDropout } = model.config;
  const texts = Object.entries({ ...settings, dropout: [hiddenDropout, attentionDropout, classifierDropout] }).map(
    ([name, value]) => [name, JSON.stringify(value ?? null)],
  );
  return { 'base model (a checksum)': frozenValues(model), ...(Object.fromEntries(texts) as Record<string, string>) };
}
