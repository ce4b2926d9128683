/**
 * The shell of every page: one HTML file with its style and scripts inside, that loads nothing and
 * runs nothing else. What stands in it: page.ts for runs, study_page.ts for studies.
 */
import { createHash } from 'node:crypto';
import * as fs from 'node:fs';
import { FusedLoraError } from '../base/errors';
import { ownFile } from '../own_files';
import { type Html, html, trusted } from './html';

/** Our own assets lie in report/assets; uPlot's are its package's. */
export function asset(name: string): string {
  try {
    return fs.readFileSync(
      name.startsWith('uplot/') ? require.resolve(name) : ownFile(`report/assets/${name}`),
      'utf8',
    );
  } catch (cause) {
    throw new FusedLoraError(
      'FILE_NOT_FOUND',
      `${name}, which reports are made with, can not be read (${(cause as Error).message}). Where fused-lora is part of a bundle, leave it outside of it.`,
      { cause },
    );
  }
}

/**
 * @param styles, scripts names of assets.
 * @param data what scripts read: an element of its own.
 * @returns HTML without any reference to another file or place; its Content-Security-Policy lets
 * run no script but these and load nothing.
 */
export function documentOf(
  title: string,
  body: Html,
  { styles, scripts = [], data }: { styles: readonly string[]; scripts?: readonly string[]; data?: Html },
): string {
  const texts = scripts.map(asset);
  const hashes = texts.map((text) => `'sha256-${createHash('sha256').update(text).digest('base64')}'`);
  const allowed = hashes.length > 0 ? hashes.join(' ') : "'none'";
  const policy = `default-src 'none'; script-src ${allowed}; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'`;
  return html`${trusted('<!DOCTYPE html>')}
<html lang="en"><head><meta charset="utf-8"><meta http-equiv="Content-Security-Policy" content="${policy}">
<meta name="viewport" content="width=device-width, initial-scale=1"><meta name="color-scheme" content="light dark"><title>${title}</title>
<link rel="icon" href="data:,"><style>${styles.map((name) => trusted(asset(name)))}</style></head>
<body><main>${body}</main>
${data ?? ''}${texts.map((text) => html`<script>${trusted(text)}</script>`)}</body></html>
`.text;
}
