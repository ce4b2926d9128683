/**
 * Reports in headless Chromium: no errors, no requests, charts in both
 * color schemes, no horizontal scrolling at 360 px, texts that stay
 * texts. Skipped where there is no Chromium; CHROMIUM_PATH names one.
 */
import * as fs from 'node:fs';
import * as path from 'node:path';
import { pathToFileURL } from 'node:url';
import { type Browser, chromium, type Page } from 'playwright-core';
import { renderReport } from '../../src/report';
import { temporaryFolder } from '../io/temporary';
import { findChromium } from './chromium';
import { recordOf } from './records';

jest.setTimeout(300_000);

const executablePath = findChromium();

/** --c0 of assets/page.css. */
const FIRST_COLOUR = { light: 0x2563eb, dark: 0x6ea0ff };

const dir = temporaryFolder();
const PAGES = {
  classes: [recordOf()],
  regression: [recordOf({ points: true })],
  stopped: [recordOf({ stopped: true, steps: 3 })],
  several: [recordOf({ name: 'first' }), recordOf({ name: 'second', rate: 2e-3, steps: 80 })],
};

(executablePath === undefined ? describe.skip : describe)('in a browser', () => {
  let browser: Browser;
  beforeAll(async () => {
    // As root Chromium has no sandbox; the pages are our own.
    browser = await chromium.launch({ executablePath: executablePath as string, args: ['--no-sandbox'] });
    for (const [name, records] of Object.entries(PAGES))
      fs.writeFileSync(path.join(dir, `${name}.html`), renderReport(records));
  });
  afterAll(() => browser.close());

  async function open(
    name: string,
    scheme: 'light' | 'dark',
    width: number,
  ): Promise<{ page: Page; problems: string[] }> {
    const page = await browser.newPage({ viewport: { width, height: 800 }, colorScheme: scheme });
    const problems: string[] = [];
    page.on('console', (message) => {
      if (['error', 'warning'].includes(message.type())) problems.push(message.text());
    });
    page.on('pageerror', (error) => problems.push(error.message));
    page.on('request', (request) => {
      if (!/^(file|data):/.test(request.url())) problems.push(`request ${request.url()}`);
    });
    await page.goto(pathToFileURL(path.join(dir, `${name}.html`)).href);
    await page.waitForFunction(
      "document.querySelectorAll('.charts .plot').length === document.querySelectorAll('.charts canvas').length",
    );
    return { page, problems };
  }

  /**
   * Of each chart: pixels that are not the background, their colours, and how many have the first
   * colour of the light and the dark page.
   */
  const inkOf = (page: Page) =>
    page.evaluate<{ pixels: number; colours: number; light: number; dark: number }[]>(`
      [...document.querySelectorAll('.charts canvas')].map((canvas) => {
        const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
        const counts = new Map();
        let pixels = 0;
        for (let i = 0; i < data.length; i += 4) {
          if (data[i + 3] < 128) continue;
          pixels++;
          const colour = (data[i] << 16) | (data[i + 1] << 8) | data[i + 2];
          counts.set(colour, (counts.get(colour) ?? 0) + 1);
        }
        return { pixels, colours: counts.size, light: counts.get(${FIRST_COLOUR.light}) ?? 0, dark: counts.get(${FIRST_COLOUR.dark}) ?? 0 };
      })`);

  test.each(Object.keys(PAGES).flatMap((name) => [360, 1200].map((width) => [name, width] as const)))(
    '%s at %i px',
    async (name, width) => {
      for (const scheme of ['light', 'dark'] as const) {
        const { page, problems } = await open(name, scheme, width);
        const ink = await inkOf(page);
        expect(ink.length).toBeGreaterThanOrEqual(5);
        for (const { pixels, colours } of ink) {
          expect(pixels).toBeGreaterThan(300);
          expect(colours).toBeGreaterThan(2);
        }
        const [scroll, inner, title] = await page.evaluate<[number, number, string]>(
          '[document.documentElement.scrollWidth, innerWidth, document.title]',
        );
        expect(scroll).toBeLessThanOrEqual(inner);
        expect(title).not.toBe('broken');
        expect(problems).toEqual([]);
        await page.close();
      }
    },
  );

  test('charts follow a change of the color scheme and of the width', async () => {
    const { page, problems } = await open('classes', 'light', 1200);
    const light = await inkOf(page);
    await page.emulateMedia({ colorScheme: 'dark' });
    await page.waitForTimeout(200);
    const dark = await inkOf(page);
    // The learning rate is one line of the first colour.
    expect([light[2]!.light > 50, light[2]!.dark, dark[2]!.light, dark[2]!.dark > 50]).toEqual([true, 0, 0, true]);
    const width = () => page.evaluate<number>("document.querySelector('.charts .uplot').clientWidth");
    const before = await width();
    await page.setViewportSize({ width: 360, height: 800 });
    await page.waitForTimeout(200);
    expect(await width()).toBeLessThan(before);
    expect(problems).toEqual([]);
    await page.close();
  });

  test('charts in closed parts are drawn when they open', async () => {
    const { page, problems } = await open('several', 'light', 800);
    const drawn = () => page.evaluate<number>("document.querySelectorAll('details.run canvas').length");
    expect(await drawn()).toBe(0);
    await page.click('details.run > summary');
    await page.waitForFunction("document.querySelectorAll('details.run canvas').length > 0");
    expect(problems).toEqual([]);
    await page.close();
  });
});
