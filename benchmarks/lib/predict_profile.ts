/**
 * Where a prediction's time goes, part by part, ours beside onnxruntime's: products by shape, what
 * belongs to their ends, attention, LayerNorm.
 * Ours is timed by workers/fused_lora.ts, theirs by peers/onnxruntime_peer.mjs.
 */
import type { Child } from './child';
import { summarize } from './measure';
import type { PredictionProfile } from './protocol';
import { milliseconds } from './report';
import type { Section } from './result';

/** Rows of the table, in this order; those of products are their shapes, between the first two. */
const LAST = ['bias, GELU', 'attention', 'LayerNorm', 'embeddings', 'the rest: calls, copies'];

/** Medians over the runs, by part, in seconds; `total` is the median of whole runs. */
export interface Parts {
  total: number;
  parts: Record<string, number>;
}

const median = (values: readonly number[]) => summarize(values).median;

export function mediansOf({ runs }: PredictionProfile): Parts {
  const names = [...new Set(runs.flatMap(({ parts }) => Object.keys(parts)))];
  const total = median(runs.map(({ seconds }) => seconds));
  const parts = Object.fromEntries(names.map((name) => [name, median(runs.map((run) => run.parts[name] ?? 0))]));
  const known = Object.values(parts).reduce((sum, seconds) => sum + seconds, 0);
  return { total, parts: { ...parts, [LAST[4] as string]: Math.max(0, total - known) } };
}

/** Turns of both sides; the runs of all turns together. */
export async function profileTogether(
  sides: Readonly<Record<string, Child>>,
  index: number,
  rounds: number,
): Promise<Record<string, Parts>> {
  const runs: Record<string, PredictionProfile['runs']> = {};
  for (let round = 0; round < rounds; round++) {
    for (const [name, child] of Object.entries(sides)) {
      const taken = await child.call<PredictionProfile>('profilePrediction', { index, runs: 3 });
      runs[name] = [...(runs[name] ?? []), ...taken.runs];
    }
  }
  return Object.fromEntries(Object.entries(runs).map(([name, all]) => [name, mediansOf({ runs: all })]));
}

/** @param padded slots of the peer's batch over real tokens. */
export function profileSection(
  sentences: number,
  tokens: number,
  padded: number,
  sides: Record<string, Parts>,
): Section {
  const names = Object.keys(sides);
  const found = new Set(Object.values(sides).flatMap(({ parts }) => Object.keys(parts)));
  const products = [...found].filter((part) => !LAST.includes(part)).sort();
  const cell = (seconds: number | undefined) => (seconds === undefined ? '' : milliseconds(seconds));
  return {
    title: `where a prediction goes: ${sentences} sentences, ${tokens} tokens`,
    note:
      `ms, medians of runs in turns; ${padded.toFixed(2)} slots a token where a batch is padded; products by shape, ours with bias, GELU and ` +
      'residual in them; onnxruntime profiled by itself',
    header: ['part', ...names],
    rows: [
      ...[...products, ...LAST.filter((part) => found.has(part))].map((part) => [
        part,
        ...names.map((name) => cell(sides[name]?.parts[part])),
      ]),
      ['all', ...names.map((name) => cell(sides[name]?.total))],
    ],
  };
}
