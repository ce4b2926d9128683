/** Where Chromium is, for tests that open pages in it. */
import { execFileSync } from 'node:child_process';

/** Its path; undefined, with a line that says so, where there is none. CHROMIUM_PATH names one. */
export function findChromium(): string | undefined {
  const given = process.env['CHROMIUM_PATH'];
  if (given) return given;
  for (const name of ['chromium', 'chromium-browser', 'google-chrome']) {
    try {
      return execFileSync('sh', ['-c', `command -v ${name}`])
        .toString()
        .trim();
    } catch {
      // Not this one.
    }
  }
  console.warn(
    'skipped: pages were opened in no browser, for there is no Chromium (apt-get install chromium, or CHROMIUM_PATH)',
  );
  return undefined;
}
