/**
 * Runs steps one after the other within a budget of minutes and keeps what came of each, so that a
 * later call goes on where this one ended. What the steps are: gpu-stages.mjs.
 *
 * A step: { name, stage, limit, least, needs?, run(timeoutMs) }. `limit`: minutes it may take;
 * `least`: with fewer minutes left it is not begun; `needs`: names of steps that have to have
 * passed. run() returns { status, output, refused? }; `refused`: why this machine does not let it
 * run, which is no failure.
 */
import { existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs';

const minute = 60_000;

/** What earlier calls left in `file` for the same `pack`, by step. */
export function readState(file, pack) {
  if (!existsSync(file)) return {};
  try {
    const state = JSON.parse(readFileSync(file, 'utf8'));
    return state.pack === pack ? state.steps : {};
  } catch {
    return {}; // cut off while it was written, by an older version
  }
}

export function writeState(file, pack, steps) {
  writeFileSync(`${file}.new`, `${JSON.stringify({ pack, steps })}\n`);
  renameSync(`${file}.new`, file);
}

/** What a record of a step says of its end, in a word. */
export function outcomeOf(record) {
  if (record === undefined) return 'not run';
  if (record.refused) return 'refused';
  return record.ok ? 'ok' : 'failed';
}

/**
 * @param steps in the order of their value
 * @param options minutes: the budget, without end where undefined; resume: what is ok or refused in
 *   `done` is not run again; now() in ms; say(line); keep(done) after each step
 * @returns { done, left }: records by name, and [name, reason] of what was not run
 */
export function runSteps(
  steps,
  { minutes, resume = false, done = {}, now = Date.now, say = () => {}, keep = () => {} },
) {
  const started = now();
  const left = [];
  const later = (step, reason) => {
    say(`${step.stage}: ${step.name}: not run, ${reason}`);
    left.push([step.name, reason]);
  };
  for (const step of steps) {
    if (resume && ['ok', 'refused'].includes(outcomeOf(done[step.name]))) {
      say(`${step.stage}: ${step.name}: done by an earlier call`);
      continue;
    }
    const missing = (step.needs ?? []).find((name) => !done[name]?.ok);
    if (missing !== undefined) {
      later(step, `it needs ${missing}`);
      continue;
    }
    const room = minutes === undefined ? Infinity : minutes - (now() - started) / minute;
    if (room < step.least) {
      later(step, `${Math.max(0, room).toFixed(1)} minutes are left of ${minutes}, it takes ${step.least} at least`);
      continue;
    }
    say(`${step.stage}: ${step.name}`);
    const begun = now();
    const { status, output, refused } = step.run(Math.min(step.limit, room) * minute);
    const lines = output.trimEnd().split('\n');
    const summary = /^(\d+) passed, (\d+) failed$/m.exec(lines.slice(-8).join('\n'));
    done[step.name] = {
      stage: step.stage,
      ok: status === 0 && !refused,
      exitCode: status,
      seconds: (now() - begun) / 1000,
      ranAt: new Date(now()).toISOString(),
      ...(refused && { refused }),
      ...(summary && { passed: Number(summary[1]), failed: Number(summary[2]) }),
      skipped: lines.filter((text) => /^(\[fused-lora\] )?skipped/.test(text.trim())),
      ...(status !== 0 && { output: lines.slice(-200).join('\n') }),
    };
    if (refused) {
      say(`${step.name} was refused: ${refused}`);
    } else if (status !== 0) {
      say(`${step.name} FAILED with exit code ${status}; the end of its output:`);
      say(lines.slice(-40).join('\n'));
    }
    keep(done);
  }
  return { done, left };
}

/** One row of the ledger's table of runs (benchmarks/gpu-ledger.md). */
export function ledgerRow({ date, gpu, driver, nvcc, commit, steps, left, file }) {
  const names = (wanted) => Object.keys(steps).filter((name) => outcomeOf(steps[name]) === wanted);
  const sum = (key) => Object.values(steps).reduce((total, record) => total + (record[key] ?? 0), 0);
  const part = (word, list) => (list.length > 0 ? [`${word}: ${list.join(', ')}`] : []);
  const outcome = [
    ...part('ok', names('ok')),
    ...part('**failed**', names('failed')),
    ...part('refused', names('refused')),
    ...part(
      'not run',
      left.map(([name]) => name),
    ),
  ].join('; ');
  const tests = `${sum('passed')} passed, ${sum('failed')} failed`;
  return `| ${[date, gpu, driver, nvcc, commit, tests, outcome, file].map((cell) => String(cell).replaceAll('|', '/')).join(' | ')} |`;
}

/**
 * The ledger with that row at the end of its table of runs; a row of the same date and commit gives
 * way.
 */
export function withLedgerRow(ledger, row) {
  const at = ledger.indexOf('\n## Runs\n');
  const end = ledger.indexOf('\n## ', at + 1);
  if (at < 0 || end < 0) throw new Error('the ledger has no section "## Runs"');
  const [date, , , , commit] = row.split(' | ');
  const lines = ledger.slice(at, end).split('\n');
  const last = lines.findLastIndex((line) => line.startsWith('|'));
  if (last < 0) throw new Error('the ledger has no table of runs');
  const rows = lines.slice(0, last + 1).filter((line) => {
    const cells = line.split(' | ');
    return !(cells[0] === date && cells[4] === commit);
  });
  return [ledger.slice(0, at), [...rows, row, ...lines.slice(last + 1)].join('\n'), ledger.slice(end)].join('');
}

/**
 * Why compute-sanitizer did not run its program, from what it printed; undefined where it did. It
 * is refused where the container may not trace processes or the driver keeps debuggers out.
 */
export function refusalOf(output) {
  if (/ERROR SUMMARY|^\d+ passed, \d+ failed$/m.test(output)) return undefined;
  const line = output
    .split('\n')
    .find((text) =>
      /not permitted|permission|ptrace|not supported|unsupported|ERR_NVGPUCTRPERM|Unable to|terminated before first/i.test(
        text,
      ),
    );
  return line?.replace(/^=+\s*/, '').trim();
}
