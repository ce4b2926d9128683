/**
 * One table of everything that can be wrong with what users give: each case
 * is an error with a code that says what, where and what to do; nothing is
 * half-written, and the process and other models go on as before.
 */
import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';
import { classify, FusedLoraError, type TextModel } from '../../src';
import { describeWithAddon } from '../graph/fixtures';
import { API_CASES } from './api_cases';
import { CHECKPOINT_CASES } from './checkpoint_cases';
import { CONFIG_CASES } from './config_cases';
import { DATA_CASES } from './data_cases';
import { LORA_CASES } from './lora_cases';
import { type BadInput, makeTemplate, openGoodModel, SENTENCES } from './support';
import { TRAINING_CASES } from './training_cases';

const TABLES: Record<string, readonly BadInput[]> = {
  checkpoints: CHECKPOINT_CASES,
  'configuration and tokenizer': CONFIG_CASES,
  data: DATA_CASES,
  LoRA: LORA_CASES,
  training: TRAINING_CASES,
  'the API': API_CASES,
};

/** Every file below `dir`, with its content. */
function filesOf(dir: string): Map<string, string> {
  const files = new Map<string, string>();
  for (const entry of fs.readdirSync(dir, { recursive: true, withFileTypes: true })) {
    const file = path.join(entry.parentPath, entry.name);
    files.set(path.relative(dir, file), entry.isFile() ? fs.readFileSync(file).toString('base64') : 'folder');
  }
  return files;
}

describeWithAddon('bad input', () => {
  let root: string;
  let other: TextModel;
  let before: string;
  const texts = SENTENCES.map(({ text }) => text);

  beforeAll(async () => {
    root = fs.mkdtempSync(path.join(os.tmpdir(), 'fused-lora-bad-'));
    const folder = path.join(root, 'other');
    fs.mkdirSync(folder);
    other = await openGoodModel(makeTemplate(folder));
    before = JSON.stringify(await classify(other, texts));
  });
  afterAll(() => {
    other.model.dispose();
    fs.rmSync(root, { recursive: true });
  });

  describe.each(Object.entries(TABLES))('%s', (_, cases) => {
    test.each(cases.map((bad) => [bad.name, bad] as const))('%s', async (_name, bad) => {
      const dir = fs.mkdtempSync(path.join(root, 'case-'));
      await bad.prepare?.(dir);
      const files = filesOf(dir);
      let error: unknown;
      try {
        await bad.run(dir);
      } catch (thrown) {
        error = thrown;
      }
      expect(error).toBeInstanceOf(FusedLoraError);
      const { code, message } = error as FusedLoraError;
      expect(`${code}: ${message}`).toMatch(new RegExp(`^${bad.code}: `));
      for (const part of bad.says) {
        if (typeof part === 'string') expect(message).toContain(part);
        else expect(message).toMatch(part);
      }
      const after = filesOf(dir);
      for (const file of after.keys()) if (!files.has(file) && bad.mayLeave?.test(file)) after.delete(file);
      expect(new Set(after.keys())).toEqual(new Set(files.keys()));
      for (const [file, content] of files) {
        if (!bad.mayLeave?.test(file)) expect([file, after.get(file) === content]).toEqual([file, true]);
      }
      fs.rmSync(dir, { recursive: true });
    });
  });

  test('there are at least 120 cases', () => {
    expect(Object.values(TABLES).flat().length).toBeGreaterThanOrEqual(120);
  });

  test('another model gives the same bits as before all of that', async () => {
    expect(JSON.stringify(await classify(other, texts))).toBe(before);
  });
});
