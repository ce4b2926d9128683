/**
 * TypeScript and JavaScript blocks: type-checked against the
 * built package as users get it, and made ready for Node.
 */
import { execFile } from 'node:child_process';
import * as fs from 'node:fs';
import * as path from 'node:path';
import { transformSync } from '@swc/core';
import { type Block, ROOT } from './markdown';

export const isProgram = ({ language }: Block): boolean => /^(ts|js|mjs|mts)$/.test(language);

/** The block with its setup, as a module. */
export const sourceOf = ({ setup, code }: Block): string => `${setup}${setup && '\n'}${code}`;

const COMPILER_OPTIONS = {
  target: 'ES2022',
  lib: ['ES2023', 'ESNext.Disposable'],
  module: 'node16',
  moduleResolution: 'node16',
  strict: true,
  allowJs: true,
  checkJs: true,
  noEmit: true,
  skipLibCheck: true,
  types: ['node'],
  typeRoots: [path.join(ROOT, 'node_modules', '@types')],
};

/**
 * Checks all blocks in one go. @returns errors by block, in tsc's words with the lines of the page.
 */
export function typeErrors(blocks: readonly Block[], dir: string): Promise<Map<Block, string[]>> {
  fs.mkdirSync(path.join(dir, 'node_modules'), { recursive: true });
  fs.symlinkSync(ROOT, path.join(dir, 'node_modules', 'fused-lora'));
  fs.symlinkSync(path.join(ROOT, 'node_modules', 'fastify'), path.join(dir, 'node_modules', 'fastify'));
  fs.writeFileSync(path.join(dir, 'tsconfig.json'), JSON.stringify({ compilerOptions: COMPILER_OPTIONS }));
  blocks.forEach((block, i) => {
    fs.writeFileSync(path.join(dir, `block${i}.${/j/.test(block.language) ? 'mjs' : 'mts'}`), sourceOf(block));
  });
  const tsc = path.join(ROOT, 'node_modules', 'typescript', 'bin', 'tsc');
  return new Promise((resolve) => {
    execFile(process.execPath, [tsc, '--pretty', 'false'], { cwd: dir }, (_error, stdout) => {
      const errors = new Map<Block, string[]>();
      for (const [, number, line, text] of stdout.matchAll(/^block(\d+)\.m[tj]s\((\d+),\d+\): (.*(?:\n .*)*)/gm)) {
        const block = blocks[Number(number)] as Block;
        const before = block.setup === '' ? 0 : block.setup.split('\n').length;
        const found = `${block.page}:${block.line + Number(line) - 1 - before}: ${text}`;
        errors.set(block, [...(errors.get(block) ?? []), found]);
      }
      if (stdout !== '' && errors.size === 0) throw new Error(stdout);
      resolve(errors);
    });
  });
}

/** The block as JavaScript. */
export const toJavaScript = (block: Block): string =>
  transformSync(sourceOf(block), {
    swcrc: false,
    jsc: { target: 'es2022', parser: { syntax: 'typescript' } },
    module: { type: 'es6' },
  }).code;
