/**
 * Asynchronous successive halving (Li et al. 2020, "A system for massively parallel hyperparameter
 * tuning"), in the form that stops a trial and never takes it up again, as Optuna's
 * SuccessiveHalvingPruner does: at points 1, η, η², … a trial goes on if its value there is among
 * the best 1/η of all that came so far. Which values to try is not decided here: sampler.ts.
 */

/** Where trials that fall behind are stopped. */
export interface AshaOptions {
  /** η: one in so many trials passes each rung. Default 4, the paper's. */
  reductionFactor?: number;
  /** The evaluation at which the first rung is, from 1. Default 1. */
  firstRung?: number;
}

/** What a trial has reported: value by evaluation, from 1. */
export type Reports = ReadonlyMap<number, number>;

/** The value that a trial has at a rung: that of its first report there or later. */
function valueAt(reports: Reports, rung: number): number | undefined {
  const steps = [...reports.keys()].filter((step) => step >= rung);
  return steps.length === 0 ? undefined : reports.get(Math.min(...steps));
}

/**
 * Whether a trial is to be stopped after its last report. Rungs that it passed before are not
 * asked again.
 *
 * @param own its reports.
 * @param others reports of all other trials of the same kind, whatever became of them.
 * @param maximize whether more is better.
 */
export function stops(
  own: Reports,
  others: readonly Reports[],
  maximize: boolean,
  { reductionFactor = 4, firstRung = 1 }: AshaOptions = {},
): boolean {
  const steps = [...own.keys()].sort((a, b) => a - b);
  const [last, before = 0] = [steps.at(-1), steps.at(-2)];
  if (last === undefined) return false;
  for (let rung = firstRung; rung <= last; rung *= reductionFactor) {
    if (rung <= before) continue;
    const value = own.get(last) as number;
    if (Number.isNaN(value)) return true;
    // A trial that was stopped at a lower rung has no value here.
    const values = [value, ...others.map((reports) => valueAt(reports, rung))].filter((one) => one !== undefined);
    const sorted = values.sort((a, b) => (maximize ? b - a : a - b));
    const passing = Math.max(1, Math.floor(values.length / reductionFactor));
    const bar = sorted[passing - 1] as number;
    if (maximize ? value < bar : value > bar) return true;
  }
  return false;
}
