/**
 * The page at /ui, on which models can be tried: one document with its style and script inside,
 * which are the files of ../page/.
 */
import { createHash } from 'node:crypto';
import * as fs from 'node:fs';
import type { FastifyInstance } from 'fastify';
import { ownFile } from '../../own_files';

const read = (name: string) => fs.readFileSync(ownFile(`serve/page/${name}`), 'utf8');
const hashOf = (text: string) => `'sha256-${createHash('sha256').update(text).digest('base64')}'`;

/** The document and what a browser may do with it: nothing but this style, script, and server. */
function makePage(): { html: string; policy: string } {
  const [style, script] = [read('page.css'), read('page.js')];
  const html = read('page.html')
    .replace('<!-- style -->', () => `<style>${style}</style>`)
    .replace('<!-- script -->', () => `<script>${script}</script>`);
  const policy = [
    "default-src 'none'",
    `style-src ${hashOf(style)}`,
    `script-src ${hashOf(script)}`,
    "connect-src 'self'",
    'img-src data:',
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
  ].join('; ');
  return { html, policy };
}

export function pageRoutes(server: FastifyInstance): void {
  const { html, policy } = makePage();
  server.get('/ui', { schema: { hide: true } }, async (_, reply) =>
    reply
      .type('text/html; charset=utf-8')
      .header('content-security-policy', policy)
      .header('x-content-type-options', 'nosniff')
      .header('referrer-policy', 'no-referrer')
      .send(html),
  );
}
