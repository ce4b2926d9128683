/**
 * The server build of Next.js: a route that predicts, started as `next start`, and as the folder
 * that `output: 'standalone'` makes to be copied elsewhere. The setting is in docs/bundlers.md.
 */
import { spawn } from 'node:child_process';
import { cpSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { fail, root, say } from '../lib/shell.mjs';
import { IMPORTS, PREDICT } from '../release/program.mjs';

export const packages = { next: '16.4.6', react: '19.3.1', 'react-dom': '19.3.1' };

const ROUTE = `${IMPORTS}
export const dynamic = 'force-dynamic';
${PREDICT}
export async function GET() {
  try {
    return new Response(await predict());
  } catch (error) {
    return new Response(\`\${error.code} \${error.message}\`, { status: 500 });
  }
}
`;
const LAYOUT = 'export default ({ children }) => <html lang="en"><body>{children}</body></html>;\n';
const CONFIG = `export default {
  output: 'standalone',
  serverExternalPackages: ['fused-lora'],
  outputFileTracingIncludes: { '/predict': ['./node_modules/@fused-lora/**', './node_modules/fused-lora/dist/**'] },
  // Here alone: the clone that this project lies in has a lock of its own, and is no workspace.
  outputFileTracingRoot: import.meta.dirname,
  turbopack: { root: import.meta.dirname },
};
`;

function freePort() {
  return new Promise((resolve) => {
    const server = createServer();
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address();
      server.close(() => resolve(port));
    });
  });
}

/** What a server says at /predict. */
async function ask(args, cwd) {
  const port = await freePort();
  const env = { ...process.env, PORT: String(port), HOSTNAME: '127.0.0.1', NEXT_TELEMETRY_DISABLED: '1' };
  const child = spawn(process.execPath, args, { cwd, env, stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  for (const stream of [child.stdout, child.stderr])
    stream.on('data', (data) => {
      output += data;
    });
  try {
    for (let waited = 0; waited < 30_000; waited += 200) {
      try {
        return await (await fetch(`http://127.0.0.1:${port}/predict`)).text();
      } catch {
        await new Promise((resolve) => setTimeout(resolve, 200));
      }
    }
    return output;
  } finally {
    child.kill();
  }
}

export async function tryIt({ place, start, expected, adapter }) {
  for (const left of ['.next', 'elsewhere', 'app']) rmSync(join(place, left), { recursive: true, force: true });
  mkdirSync(join(place, 'app', 'predict'), { recursive: true });
  writeFileSync(join(place, 'app', 'predict', 'route.js'), ROUTE);
  writeFileSync(join(place, 'app', 'layout.jsx'), LAYOUT);
  writeFileSync(join(place, 'next.config.mjs'), CONFIG);
  const next = 'node_modules/next/dist/bin/next';
  start('building', [next, 'build'], { env: { ...process.env, NEXT_TELEMETRY_DISABLED: '1' } });
  const elsewhere = join(place, '..', 'next-standalone');
  rmSync(elsewhere, { recursive: true, force: true });
  cpSync(join(place, '.next', 'standalone'), elsewhere, { recursive: true });
  for (const [what, args, cwd] of [
    ['next start', [next, 'start'], place],
    ['standalone, copied elsewhere', ['server.js'], elsewhere],
  ]) {
    cpSync(join(root, 'assets/tiny-roberta'), join(cwd, 'model'), { recursive: true });
    cpSync(adapter, join(cwd, 'adapter'), { recursive: true });
    const said = await ask(args, cwd);
    if (said !== expected) fail(`next: ${what} says\n${said}\nand not\n${expected}`);
    say(`next: ${what}`);
  }
}
