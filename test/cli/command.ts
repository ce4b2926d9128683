/**
 * Runs the command line in a process of its own, and makes files for it to read.
 * What exactly is started: program.ts.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import * as fs from 'node:fs';
import * as path from 'node:path';
import { makeSentimentTask } from '../../examples/sentiment_grammar';
import { createModel, saveModel } from '../../src/models';
import { commandLine } from './program';

const ROOT = path.join(__dirname, '..', '..');
export const TOKENIZER = path.join(ROOT, 'assets', 'tiny-roberta');

export interface Outcome {
  code: number | null;
  stdout: string;
  stderr: string;
}

export interface Running {
  child: ChildProcess;
  outcome: Promise<Outcome>;
}

/** @param options.input what is on standard input, which then ends; null leaves it open. */
export function start(
  args: readonly string[],
  options: { env?: NodeJS.ProcessEnv; input?: string | null } = {},
): Running {
  const child = spawn(process.execPath, [...commandLine(), ...args], {
    cwd: ROOT,
    env: { ...process.env, NODE_OPTIONS: '', ...options.env },
  });
  if (options.input !== null) child.stdin.end(options.input ?? '');
  let [stdout, stderr] = ['', ''];
  child.stdout.on('data', (data: Buffer) => {
    stdout += data.toString();
  });
  child.stderr.on('data', (data: Buffer) => {
    stderr += data.toString();
  });
  const outcome = new Promise<Outcome>((resolve) => {
    child.on('close', (code) => resolve({ code, stdout, stderr }));
  });
  return { child, outcome };
}

export const run = (args: readonly string[], options: Parameters<typeof start>[1] = {}) => start(args, options).outcome;

/**
 * A small RoBERTa with the tiny tokenizer and random values,
 * and files of the sentiment task, in `dir`.
 */
export function makeFiles(dir: string): { model: string; train: string; dev: string } {
  const model = path.join(dir, 'model');
  const config = {
    architectures: ['RobertaForMaskedLM'],
    model_type: 'roberta',
    vocab_size: 6144,
    hidden_size: 32,
    num_hidden_layers: 2,
    num_attention_heads: 4,
    intermediate_size: 64,
    max_position_embeddings: 66,
    type_vocab_size: 1,
    pad_token_id: 1,
    bos_token_id: 0,
    eos_token_id: 2,
    hidden_act: 'gelu',
    hidden_dropout_prob: 0.1,
    attention_probs_dropout_prob: 0.1,
    layer_norm_eps: 1e-5,
    initializer_range: 0.1,
  };
  saveModel(createModel(config, { task: 'masked-lm' }), model);
  for (const name of ['tokenizer.json', 'tokenizer_config.json']) {
    fs.copyFileSync(path.join(TOKENIZER, name), path.join(model, name));
  }
  const { train, dev } = makeSentimentTask();
  const write = (name: string, rows: typeof train) => {
    const file = path.join(dir, name);
    fs.writeFileSync(file, `sentence\tlabel\n${rows.map(({ text, label }) => `${text}\t${label}\n`).join('')}`);
    return file;
  };
  return { model, train: write('train.tsv', train.slice(0, 160)), dev: write('dev.tsv', dev.slice(0, 40)) };
}
