/**
 * The page at /ui in headless Chromium: it answers by keyboard, fits a phone, has both colour
 * schemes, asks nobody but its server, and shows texts as texts. Skipped where there is no
 * Chromium; CHROMIUM_PATH names one. SCREENSHOTS names a folder for pictures of it.
 */
import * as path from 'node:path';
import type { FastifyInstance } from 'fastify';
import { type Browser, chromium, type Page } from 'playwright-core';
import { createServer } from '../../src/serve';
import { temporaryFolder } from '../io/temporary';
import { findChromium } from '../report/chromium';
import { TINY } from '../task/tasks';
import { makeAdapters } from './adapters';

jest.setTimeout(120_000);

const executablePath = findChromium();
const TEXT = 'Anna Miller <b>visited</b> New York with a gripping film .';

(executablePath === undefined ? describe.skip : describe)('the page in a browser', () => {
  let browser: Browser;
  let server: FastifyInstance;
  let url: string;
  beforeAll(async () => {
    const adapters = makeAdapters(temporaryFolder(), ['mood', 'toxic', 'tags', 'rank']);
    server = await createServer({ model: TINY, adapters, apiKey: 'secret' });
    url = await server.listen({ port: 0 });
    // As root Chromium has no sandbox; the page is our own.
    browser = await chromium.launch({ executablePath: executablePath as string, args: ['--no-sandbox'] });
  });
  afterAll(async () => {
    await browser.close();
    await server.close();
  });

  async function open(colorScheme: 'light' | 'dark', width: number): Promise<{ page: Page; problems: string[] }> {
    const page = await browser.newPage({ viewport: { width, height: 900 }, colorScheme });
    const problems: string[] = [];
    page.on('console', (message) => {
      // The first question is refused without the key.
      if (['error', 'warning'].includes(message.type()) && !message.text().includes('401'))
        problems.push(message.text());
    });
    page.on('pageerror', (error) => problems.push(error.message));
    page.on('request', (request) => {
      if (!request.url().startsWith(url) && !request.url().startsWith('data:'))
        problems.push(`request ${request.url()}`);
    });
    await page.goto(`${url}/ui`);
    return { page, problems };
  }

  test.each([
    ['light', 1000],
    ['dark', 360],
  ] as const)('%s, %i pixels wide, by keyboard', async (scheme, width) => {
    const { page, problems } = await open(scheme, width);
    // It asks for the key, and has its focus there.
    await page.waitForFunction("document.activeElement.id === 'key'");
    await page.keyboard.type('secret');
    await page.keyboard.press('Enter');
    await page.waitForSelector('fieldset input');
    for (const box of await page.locator('fieldset input').all()) {
      await box.focus();
      if (!(await box.isChecked())) await page.keyboard.press('Space');
    }
    await page.locator('#text').focus();
    await page.keyboard.insertText(TEXT);
    await page.keyboard.press('Control+Enter');
    await page.waitForSelector('article:nth-of-type(4)');
    expect(await page.locator('article h2').allTextContents()).toEqual(['mood', 'toxic', 'tags', 'rank']);
    expect(await page.locator('article').nth(0).locator('.score').count()).toBe(2);
    const marked = await page.locator('.words').evaluate((line: { cloneNode(deep: true): unknown }) => {
      const copy = line.cloneNode(true) as { querySelectorAll(of: string): { remove(): void }[]; textContent: string };
      for (const small of copy.querySelectorAll('small')) small.remove();
      return copy.textContent;
    });
    expect(marked).toBe(TEXT);
    expect(await page.locator('mark').count()).toBeGreaterThan(0);
    expect(await page.locator('#time').textContent()).toMatch(/^\d+\.\d ms$/);
    const wide = await page.evaluate('document.documentElement.scrollWidth > document.documentElement.clientWidth');
    expect(wide).toBe(false);
    expect(await page.evaluate('getComputedStyle(document.body).backgroundColor')).toBe(
      scheme === 'light' ? 'rgb(246, 247, 249)' : 'rgb(18, 22, 28)',
    );
    const { SCREENSHOTS: folder } = process.env;
    if (folder) await page.screenshot({ path: path.join(folder, `ui-${scheme}-${width}.png`), fullPage: true });
    expect(problems).toEqual([]);
    await page.close();
  });
});
