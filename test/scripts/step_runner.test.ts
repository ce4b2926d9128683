/**
 * The first day on a GPU without one: steps in order within a budget, refusals, what a second call
 * does, the ledger's row. The steps themselves are in scripts/gpu-stages.mjs.
 */
import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';

const scripts = resolve(__dirname, '../../scripts');
let folder: string;

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'gpu-run-'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/**
 * Runs a module's text with the functions of step-runner.mjs; what it gives to `tell` comes back.
 */
function withRunner<T>(body: string): T {
  const script = `
    import * as runner from ${JSON.stringify(join(scripts, 'lib/step-runner.mjs'))};
    const tell = (value) => console.log(JSON.stringify(value));
    // A clock that steps move on, in minutes.
    let clock = 0;
    const ran = [];
    const step = (name, minutes, more = {}) => ({
      ...{ stage: 'test', name, limit: 5, least: 1 },
      run: (timeoutMs) => {
        ran.push([name, timeoutMs / 60000]);
        clock += Math.min(minutes, timeoutMs / 60000);
        return { status: 0, output: '3 passed, 0 failed\\n', ...more };
      },
      ...(more.needs && { needs: more.needs }),
    });
    const said = [];
    const options = { now: () => clock * 60000, say: (line) => said.push(line) };
    ${body}`;
  const { stdout, stderr, status } = spawnSync(process.execPath, ['--input-type=module', '--eval', script], {
    encoding: 'utf8',
  });
  expect({ stderr, status }).toEqual({ stderr: '', status: 0 });
  return JSON.parse(stdout) as T;
}

test('steps run in order while the budget lasts; the next call goes on', () => {
  const [first, second, third] = withRunner<[unknown, unknown, unknown]>(`
    const steps = [
      step('build', 3),
      step('broken', 1, { status: 1, output: 'no\\n1 passed, 2 failed\\n' }),
      step('after', 1, { needs: ['broken'] }),
      step('refused', 1, { status: 0, refused: 'not permitted' }),
      step('long', 9),
      step('late', 1),
    ];
    const one = runner.runSteps(steps, { ...options, minutes: 9.5 });
    const first = [ran.splice(0), one.left, Object.entries(one.done).map(([n, r]) => [n, runner.outcomeOf(r), r.passed])];
    steps[1] = step('broken', 1);
    const two = runner.runSteps(steps, { ...options, minutes: 25, resume: true, done: one.done });
    const second = [ran.splice(0), two.left];
    const again = runner.runSteps(steps, { ...options, minutes: 25, done: two.done });
    tell([first, second, [ran.length, again.left]]);`);
  expect(first).toEqual([
    [
      ['build', 5],
      ['broken', 5],
      ['refused', 5],
      // 4.5 minutes are left of 9.5.
      ['long', 4.5],
    ],
    [
      ['after', 'it needs broken'],
      ['late', '0.0 minutes are left of 9.5, it takes 1 at least'],
    ],
    [
      ['build', 'ok', 3],
      ['broken', 'failed', 1],
      ['refused', 'refused', 3],
      ['long', 'ok', 3],
    ],
  ]);
  expect(second).toEqual([
    [
      ['broken', 5],
      ['after', 5],
      ['late', 5],
    ],
    [],
  ]);
  expect(third).toEqual([6, []]);
});

test("the ledger's row: of the same day and commit there is one", () => {
  const ledger = '# L\n\n## Runs\n\nWords.\n\n| date | GPU |\n| --- | --- |\n\n## How to run\n\nMore.\n';
  const result = withRunner<string[]>(`
    const facts = { date: '2026-01-02', gpu: 'a | b', driver: '580', nvcc: '13.0', commit: 'abc', file: 'out.json' };
    const steps = { build: { ok: true }, tests: { ok: false, passed: 5, failed: 1 }, memcheck: { ok: false, refused: 'x' } };
    const row = runner.ledgerRow({ ...facts, steps, left: [['bench', 'no time']] });
    const once = runner.withLedgerRow(${JSON.stringify(ledger)}, row);
    const other = runner.ledgerRow({ ...facts, date: '2026-01-03', steps, left: [] });
    tell([row, once, runner.withLedgerRow(once, row), runner.withLedgerRow(once, other)]);`);
  const [row, once, twice, two] = result as [string, string, string, string];
  expect(row).toBe(
    '| 2026-01-02 | a / b | 580 | 13.0 | abc | 5 passed, 1 failed | ok: build; **failed**: tests; refused: memcheck; not run: bench | out.json |',
  );
  expect(once).toBe(ledger.replace('| --- | --- |\n', `| --- | --- |\n${row}\n`));
  expect(twice).toBe(once);
  expect(two.match(/^\| 2026/gm)).toHaveLength(2);
});

test('compute-sanitizer that is refused is told from one that finds something', () => {
  expect(
    withRunner<unknown>(`tell([
      '========= COMPUTE-SANITIZER\\n========= Error: ptrace: Operation not permitted\\n',
      '========= Target application terminated before first instrumented API call\\n',
      '========= Invalid __global__ read\\n7 passed, 0 failed\\n========= ERROR SUMMARY: 1 error\\n',
      '/usr/bin/compute-sanitizer: did not end within 45 s\\n',
    ].map((output) => runner.refusalOf(output) ?? null));`),
  ).toEqual([
    'Error: ptrace: Operation not permitted',
    'Target application terminated before first instrumented API call',
    null,
    null,
  ]);
});

test('--dry says which steps there are, in the order of their value', () => {
  mkdirSync(join(folder, '.gpu-run'), { recursive: true });
  writeFileSync(join(folder, '.gpu-run/facts.json'), '{"packedAt":"now"}');
  cpSync(join(scripts, 'gpu-stages.mjs'), join(folder, 'scripts/gpu-stages.mjs'));
  cpSync(join(scripts, 'lib'), join(folder, 'scripts/lib'), { recursive: true });
  const dry = (...args: string[]) =>
    spawnSync(process.execPath, [join(folder, 'scripts/gpu-stages.mjs'), folder, ...args], {
      encoding: 'utf8',
      env: { ...process.env, OUT: join(folder, 'out') },
    });
  const { stdout, status } = dry('--emulated', '--minutes', '25', '--dry');
  expect(status).toBe(0);
  expect([...stdout.matchAll(/^\[gpu-run\] \w+: ([\w-]+): \d/gm)].map(([, name]) => name)).toEqual([
    ...['unpack', 'configure', 'compile', 'native-tests-cpu', 'gpu-native', 'gpu-models'],
    ...['bench-gpu-linear', 'bench-gpu-step', 'sanitize-memcheck', 'sanitize-racecheck'],
    ...['sm90a-native', 'sm90a-models', 'bench-gpu-hopper', 'bench-sm90a-linear'],
  ]);
  expect(dry('--minutes', 'soon')).toMatchObject({ status: 2, stdout: expect.stringContaining('above 0') });
  expect(dry('--stage', 'tests')).toMatchObject({ status: 2, stdout: expect.stringContaining('build, test, bench') });
});
