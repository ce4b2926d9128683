import { spawnSync } from 'node:child_process';
import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';
import { collect } from '../../benchmarks/lib/collect';
import { escapeHtml, reportHtml } from '../../benchmarks/lib/html';
import { writeReport } from '../../benchmarks/report';

const fixtures = path.resolve(__dirname, '../fixtures/benchmarks');
const files = ['scale-tiny.json', 'methods.json'].map((name) => path.join(fixtures, name));
const chromium = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'].find(fs.existsSync);

let folder: string;
beforeAll(() => {
  folder = fs.mkdtempSync(path.join(os.tmpdir(), 'bench-report-'));
});
afterAll(() => fs.rmSync(folder, { recursive: true, force: true }));

test('results come in the order of the suite, and only those of the usual models are held against the targets', () => {
  const { results, judged } = collect(files);
  expect(results.map(({ benchmark }) => benchmark)).toEqual(['methods', 'scale']);
  const verdicts = new Map(judged.map(({ figure, verdict }) => [figure, verdict]));
  expect(verdicts.get('methods.loraOverFullFp32')).toBe('met');
  expect(verdicts.get('methods.fullOverPeerFullFp32')).toBe('not met');
  expect(verdicts.get('methods.loraOverFullBf16')).toBe('not measured');
  expect(verdicts.get('step.fp32OverPeerFp32')).toBe('not measured');
});

test('the page holds all tables, is whole in itself, and nothing in the data can break out', () => {
  const { results, judged } = collect(files);
  const html = reportHtml(results, judged);
  expect(html).toContain('<td>LoRA att_v+ff_u</td><td>1.60</td>');
  expect(html).toContain(escapeHtml('speed over full <fine-tuning> & "more"'));
  expect(html).toContain(`1 of ${judged.length} met`);
  expect(html.match(/<canvas /g)).toHaveLength(3);
  expect(html).not.toContain('alert(1)</script>');
  // Chart.js, the data and the style: no address is asked for anything.
  expect(html).not.toMatch(/(?:src|href)="(?!#)/);
  expect(html.match(/<script>/g)).toHaveLength(2);
  expect(html.match(/<\/script>/g)).toHaveLength(2);
});

test('a file that is no result is named', () => {
  const other = path.join(folder, 'other.json');
  fs.writeFileSync(other, '{"rows": []}');
  expect(() => collect([other])).toThrow(`${other} is no result of a benchmark`);
  expect(() => writeReport([])).toThrow('npm run bench');
});

const inBrowser = chromium ? test : test.skip;
inBrowser(
  `Chromium draws every plot of it${chromium ? '' : ' (skipped: there is no Chromium)'}`,
  () => {
    const page = writeReport(files, path.join(folder, 'report.html'));
    const { stdout } = spawnSync(
      chromium as string,
      [
        ...['--headless', '--no-sandbox', '--disable-gpu', '--window-size=390,900', '--virtual-time-budget=2000'],
        ...[`--user-data-dir=${path.join(folder, 'profile')}`, '--dump-dom', `file://${page}`],
      ],
      { encoding: 'utf8', timeout: 100_000 },
    );
    // Chart.js sizes what it draws on.
    const drawn = stdout.match(/<canvas id="plot-\d+"[^>]*style="display: block;[^"]*height: [1-9]\d*px/g);
    expect(drawn).toHaveLength(3);
  },
  120_000,
);
