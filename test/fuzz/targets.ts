/**
 * What fuzzers call with bytes: readers of files that others made. Each may throw a FusedLoraError
 * of any code but INTERNAL, and nothing else. fuzz.ts runs them under a fuzzer (scripts/fuzz.mjs),
 * corpus.test.ts with the stored bytes of corpus/.
 */
import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';
import { FusedLoraError } from '../../src/base/errors';
import { compilePattern } from '../../src/base/patterns';
import { readExamples } from '../../src/data/read/read_examples';
import { readTokenExamples } from '../../src/data/read/read_token_examples';
import { compilePattern as compileSplit } from '../../src/data/tokenize/pattern';
import { Refused } from '../../src/data/tokenize/refused';
import { loadTokenizer } from '../../src/data/tokenize/tokenizer';
import { readJsonObject } from '../../src/io/json';
import { SafetensorsFile } from '../../src/io/safetensors';
import { configFromPeft } from '../../src/lora/peft_config';
import { parseConfig } from '../../src/models/config';
import { renderReport } from '../../src/report/page';
import { readRecord } from '../../src/report/record';

export type Target = (bytes: Buffer) => unknown;

let folder: string | undefined;

/** The bytes as a file of this name, in a folder that goes with the process. */
function fileOf(name: string, bytes: Buffer): string {
  if (folder === undefined) {
    folder = fs.mkdtempSync(path.join(os.tmpdir(), 'fuzz-'));
    process.on('exit', () => fs.rmSync(folder as string, { recursive: true, force: true }));
  }
  const file = path.join(folder, name);
  fs.writeFileSync(file, bytes);
  return file;
}

const examples =
  (name: string): Target =>
  (bytes) =>
    readExamples(fileOf(name, bytes), {}, false);

export const TARGETS: Readonly<Record<string, Target>> = {
  safetensors: (bytes) => SafetensorsFile.open(fileOf('a.safetensors', bytes)),
  config: (bytes) => {
    const file = fileOf('config.json', bytes);
    parseConfig(readJsonObject(file, 'to build the model', 'INVALID_CONFIG'), { file });
  },
  adapter: (bytes) => {
    const file = fileOf('adapter_config.json', bytes);
    configFromPeft(readJsonObject(file, 'to open the adapter', 'INVALID_CONFIG'), file);
  },
  tokenizer: (bytes) => {
    const tokenizer = loadTokenizer(path.dirname(fileOf('tokenizer.json', bytes)));
    tokenizer.encode('The film: "très" good, 12 ½!');
  },
  csv: examples('a.csv'),
  tsv: examples('a.tsv'),
  jsonl: examples('a.jsonl'),
  conll: (bytes) => readTokenExamples(fileOf('a.conll', bytes), {}, false),
  parquet: examples('a.parquet'),
  gzip: examples('a.csv.gz'),
  events: (bytes) => renderReport([readRecord(fileOf('events.jsonl', bytes))]),
  patterns: (bytes) => {
    const pattern = compilePattern(bytes.toString('utf8'), 'target_modules', { mode: 'fullmatch' });
    pattern.test('roberta.encoder.layer.11.attention.self.query');
    pattern.groups('roberta.encoder.layer.11.attention.self.query');
  },
  splits: (bytes) => {
    try {
      compileSplit({ Regex: bytes.toString('utf8') }, 'tokenizer.json').find('The film, très good: 12!');
    } catch (error) {
      // What loadTokenizer makes an INVALID_TOKENIZER with the file's name of.
      if (!(error instanceof Refused)) throw error;
    }
  },
};

/** @throws what a target threw and may not. */
export async function runTarget(name: string, bytes: Buffer): Promise<void> {
  try {
    await TARGETS[name]?.(bytes);
  } catch (error) {
    if (!(error instanceof FusedLoraError) || error.code === 'INTERNAL') throw error;
  }
}
