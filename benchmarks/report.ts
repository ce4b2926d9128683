/**
 * `npm run bench:report`: one HTML file with tables and plots from the JSON of the other
 * benchmarks.
 * How it is made: lib/html.ts.
 *
 *   npm run bench:report -- [--out FILE] [RESULT.json …]
 *
 * Default: runs/bench/*.json into runs/bench/report.html.
 */
import * as fs from 'node:fs';
import * as path from 'node:path';
import { parseArgs } from 'node:util';
import { collect, resultFiles } from './lib/collect';
import { resultFolder } from './lib/folders';
import { reportHtml } from './lib/html';
import { start } from './lib/main';

/** @returns the file written. */
export function writeReport(files: readonly string[], out = path.join(resultFolder, 'report.html')): string {
  if (files.length === 0) throw new Error('there are no results yet: npm run bench, or name JSON files');
  const { results, judged } = collect(files);
  fs.mkdirSync(path.dirname(out), { recursive: true });
  fs.writeFileSync(out, reportHtml(results, judged));
  return out;
}

if (require.main === module) {
  start(async () => {
    const { values, positionals } = parseArgs({ options: { out: { type: 'string' } }, allowPositionals: true });
    const file = writeReport(positionals.length > 0 ? positionals : resultFiles(), values.out);
    console.log(`written to ${path.relative(process.cwd(), file)}`);
  });
}
