/**
 * A folder where the blocks of a page run: files of the names
 * that the pages use, all small, and stand-ins for programs.
 */
import { spawn } from 'node:child_process';
import * as fs from 'node:fs';
import * as path from 'node:path';
import * as zlib from 'node:zlib';
import { makeSentimentTask } from '../../examples/sentiment_grammar';
import { createModel, fineTune, saveModel } from '../../src';
import { makeFiles } from '../cli/command';
import { ROOT } from './markdown';

const STUBS = ['npm', 'npx', 'fused-lora', 'python', 'python3', 'curl'];
/** What may not be installed, or would not end. */
const SCRIPTS: Readonly<Record<string, string>> = {
  tail: '[ "$1" = -f ] && exec cat "$2"\nexec /usr/bin/tail "$@"',
  jq: 'PATH=$(echo "$PATH" | cut -d: -f2-)\ncommand -v jq > /dev/null && exec jq "$@"\nexec cat',
};

/** Makes what all sandboxes copy. */
export async function makeTemplate(dir: string): Promise<void> {
  const bin = path.join(dir, 'bin');
  fs.mkdirSync(bin, { recursive: true });
  const commands = path.join(__dirname, 'stubs', 'commands.cjs');
  const script = (name: string, text: string) =>
    fs.writeFileSync(path.join(bin, name), `#!/bin/sh\n${text}\n`, { mode: 0o755 });
  for (const name of STUBS) script(name, `exec "${process.execPath}" "${commands}" ${name} "$@"`);
  for (const [name, text] of Object.entries(SCRIPTS)) script(name, text);

  const home = path.join(dir, 'home');
  fs.mkdirSync(path.join(home, 'path', 'to'), { recursive: true });
  const { model, train, dev } = makeFiles(home);
  const roberta = path.join(home, 'roberta-base');
  // As many positions as RoBERTa-base has: pages give its lengths.
  const config = JSON.parse(fs.readFileSync(path.join(model, 'config.json'), 'utf8'));
  saveModel(createModel({ ...config, max_position_embeddings: 514 }, { task: 'masked-lm' }), roberta);
  for (const name of ['tokenizer.json', 'tokenizer_config.json'])
    fs.renameSync(path.join(model, name), path.join(roberta, name));
  fs.rmSync(model, { recursive: true });
  fs.cpSync(roberta, path.join(home, 'path', 'to', 'roberta-base'), { recursive: true });
  fs.copyFileSync(path.join(roberta, 'config.json'), path.join(home, 'config.json'));
  fs.mkdirSync(path.join(home, 'tokenizer'));
  for (const name of ['tokenizer.json', 'tokenizer_config.json'])
    fs.copyFileSync(path.join(roberta, name), path.join(home, 'tokenizer', name));
  fs.mkdirSync(path.join(home, 'sst2'));
  for (const file of [train, dev]) fs.copyFileSync(file, path.join(home, 'sst2', path.basename(file)));

  const { train: examples } = makeSentimentTask();
  const texts = examples.slice(0, 40).map(({ text }) => text);
  const write = (name: string, text: string | Buffer) => fs.writeFileSync(path.join(home, name), text);
  write('reviews.tsv', `sentence\n${texts.join('\n')}\n`);
  write('reviews.log', `${texts.slice(0, 5).join('\n')}\n`);
  write('reviews.txt.gz', zlib.gzipSync(`${texts.join('\n')}\n`));
  const pairs = texts.map((text, i) => `"${text}","${texts[i ^ 1]}",${i % 2}\n`);
  write('pairs.csv', `question1,question2,is_duplicate\n${pairs.join('')}`);

  const run = path.join(home, 'another-run');
  const settings = { method: 'head', epochs: 1, evaluateEvery: 'epoch', checkpointEvery: 1000 } as const;
  const { textModel } = await fineTune({ ...settings, model: roberta, train, dev, outputDir: run });
  textModel.model.dispose();
  for (const name of ['a', 'b']) fs.cpSync(run, path.join(home, 'runs', name), { recursive: true });
  const modules = path.join(home, 'node_modules');
  fs.mkdirSync(modules);
  fs.symlinkSync(ROOT, path.join(modules, 'fused-lora'));
  fs.symlinkSync(path.join(ROOT, 'node_modules', 'fastify'), path.join(modules, 'fastify'));
}

export interface Ran {
  code: number | null;
  /** Standard output and standard error, as they came. */
  output: string;
}

/** Runs a program in a sandbox; what it started ends with it. */
export function run(template: string, cwd: string, command: string, args: readonly string[]): Promise<Ran> {
  const env = {
    ...process.env,
    PATH: `${path.join(template, 'bin')}${path.delimiter}${path.dirname(process.execPath)}${path.delimiter}${process.env['PATH']}`,
    HF_HUB_OFFLINE: '1',
    NODE_OPTIONS: '',
  };
  const child = spawn(command, args, { cwd, env, stdio: ['ignore', 'pipe', 'pipe'], detached: true });
  let output = '';
  for (const stream of [child.stdout, child.stderr])
    stream.on('data', (data: Buffer) => {
      output += data.toString();
    });
  child.on('exit', () => {
    try {
      process.kill(-(child.pid as number));
    } catch {
      // Nothing is left of its group.
    }
  });
  return new Promise((resolve) => {
    child.on('close', (code) => resolve({ code, output }));
  });
}
