/**
 * Checkpoints of a run on several ranks: rank 0 has the files, all have the same state. What a
 * checkpoint holds is checkpoint.ts; steps are share_steps.ts.
 */
import { createHash } from 'node:crypto';
import { FusedLoraError } from '../base/errors';
import { agree, broadcast, fromFirst } from '../distributed/collectives';
import type { Group } from '../distributed/group';
import type { Parameter } from '../graph/parameter';
import { listCheckpoints, loadCheckpoint, type RunState, sharesIn, type TensorSnapshot } from './checkpoint';
import type { StepProgram } from './step_program';

/** @returns what the newest checkpoint says; undefined where there is none. */
export async function sharesToResume(group: Group, dir: string): Promise<number | undefined> {
  const newest = group.rank === 0 ? listCheckpoints(dir).at(-1) : undefined;
  return (await fromFirst(group, newest ? sharesIn(newest.path) : null)) ?? undefined;
}

/**
 * Loads the newest checkpoint on rank 0 and gives it to the others, which need not see its folder.
 *
 * @returns undefined where there is none.
 * @throws FusedLoraError as `loadCheckpoint`; INVALID_CHECKPOINT for one that lies after the end.
 */
export async function resumeAll(
  group: Group,
  dir: string,
  program: StepProgram,
  identity: Record<string, string | number>,
  totalSteps: number,
): Promise<{ state: RunState; best: TensorSnapshot | undefined } | undefined> {
  const loaded = group.rank === 0 ? loadNewest(dir, program, identity, totalSteps) : undefined;
  if (group.size === 1) return loaded;
  const said = await fromFirst(group, loaded ? { state: loaded.state, hasBest: loaded.best !== undefined } : null);
  if (!said) return undefined;
  const { trained } = program.plan;
  const best: TensorSnapshot | undefined = said.hasBest ? new Map() : undefined;
  for (const parameter of trained) {
    const { name, count } = parameter;
    const value = parameter.data().slice();
    const { first, second } = loaded
      ? program.readMoments(parameter)
      : { first: new Float32Array(count), second: new Float32Array(count) };
    const ofBest = loaded?.best?.get(name) ?? new Float32Array(count);
    await broadcast(group, [value, first, second, ...(best ? [ofBest] : [])]);
    best?.set(name, ofBest);
    if (group.rank === 0) continue;
    parameter.setData(value);
    program.writeMoments(parameter, { first, second });
  }
  return { state: { ...said.state, lossSum: said.state.lossSum ?? Number.NaN }, best };
}

function loadNewest(dir: string, program: StepProgram, identity: Record<string, string | number>, totalSteps: number) {
  const newest = listCheckpoints(dir).at(-1);
  if (!newest) return undefined;
  const loaded = loadCheckpoint(newest.path, program, identity);
  if (loaded.state.step > totalSteps) {
    throw new FusedLoraError(
      'INVALID_CHECKPOINT',
      `${newest.path}/state.json: field "step" is ${loaded.state.step}, and the run has ${totalSteps} steps; delete the folder to resume from an older checkpoint`,
    );
  }
  return loaded;
}

/**
 * Sees that all ranks have the same weights, before they are kept.
 *
 * @throws FusedLoraError STATE_MISMATCH with the rank that has others.
 */
export async function agreeOnBits(group: Group, trained: readonly Parameter[], step: number): Promise<void> {
  if (group.size === 1) return;
  const hash = createHash('sha256');
  for (const parameter of trained) hash.update(parameter.data());
  await agree(group, { [`the state after step ${step} (a checksum)`]: hash.digest('hex').slice(0, 16) });
}
