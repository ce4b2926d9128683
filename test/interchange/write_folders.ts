/**
 * Writes model folders, adapters and merged models of both families with what this library computes
 * from them, for check_folders.py to load with transformers and PEFT. A maintainer's check (users
 * and `npm test` need no Python):
 *
 *     pip install -r scripts/oracle/requirements.txt
 *     npx tsx test/interchange/write_folders.ts runs/interchange
 *     python test/interchange/check_folders.py runs/interchange
 */
import * as fs from 'node:fs';
import * as path from 'node:path';
import { plan } from '../../src/graph/plan';
import { Program } from '../../src/graph/program';
import { addAdapter, type LoraConfig, mergeAndUnload, saveAdapter } from '../../src/lora';
import { createModel, loadModel, saveModel, type TaskModel } from '../../src/models';
import { trace } from '../../src/nn';
import { TINY_BERT, TINY_ROBERTA } from '../models/configs';

const ADAPTERS: Record<string, LoraConfig> = {
  'query-value': { r: 3, loraAlpha: 5 },
  'all-linear-rslora': { targetModules: 'all-linear', r: 2, loraAlpha: 7, useRslora: true },
  pattern: { pattern: 'query(4)|layer.\\d+.output(2)', r: 3 },
  'rank-pattern': {
    targetModules: ['key', 'query'],
    rankPattern: { key: 2 },
    alphaPattern: { 'layer.1.attention.self.query': 3 },
  },
  'head-alone': { pattern: 'clf_only' },
};

const SEQUENCES = [[3, 8, 15], [20], [7, 9, 29, 4]];
/** Tokens whose masked-LM logits are compared. */
const ROWS = [1, 5];

async function logits(model: TaskModel): Promise<number[]> {
  const inputIds = Int32Array.from(SEQUENCES.flat());
  const firstToken = Int32Array.of(0, 3, 4);
  const positionIds = Int32Array.from(SEQUENCES.flatMap((ids) => ids.map((_, i) => i + model.positionOffset)));
  using program = new Program(plan(trace(model, { training: false, loss: false }), { train: false }), {
    backend: 'cpu',
  });
  await program.forward({
    tensors: {
      inputIds,
      positionIds,
      tokenTypeIds: new Int32Array(inputIds.length),
      cuSeqlens: Int32Array.of(...firstToken, inputIds.length),
      firstToken,
      rowIndex: Int32Array.from(ROWS),
    },
    sizes: { T: inputIds.length, S: SEQUENCES.length, M: ROWS.length },
  });
  return Array.from(program.read('logits'));
}

/** Values other than the initial ones for all that an adapter trains. */
function train(model: TaskModel): void {
  for (const [name, parameter] of model.namedParameters()) {
    if (parameter.requiresGrad) parameter.setData(parameter.data().map((v, i) => v + 0.3 * Math.sin(i + name.length)));
  }
}

interface Case {
  task: string;
  base: string;
  adapter: string;
  merged: string;
  logits: number[];
}

/** Adapters whose head and pooler are saved whole, on bases that have them, or lack one or both. */
async function poolerCases(root: string): Promise<Case[]> {
  const cases: Case[] = [];
  const task = 'sequence-classification';
  const config = { ...TINY_BERT, initializer_range: 0.3 };
  for (const [name, ofBase] of [
    ['pooler-and-head', task],
    ['no-pooler', 'masked-lm'],
  ] as const) {
    const base = path.join(root, name);
    saveModel(createModel(config, { task: ofBase, seed: 3, ...(ofBase === task && { numLabels: 3 }) }), base);
    for (const [kind, lora] of Object.entries({ lora: { r: 3, loraAlpha: 5 }, head: ADAPTERS['head-alone']! })) {
      const { model } = loadModel(base, { task, numLabels: 3, seed: 4 });
      addAdapter(model, lora, { seed: 5, alsoSaved: ['bert.pooler'] });
      train(model);
      const adapter = saveAdapter(model, path.join(base, kind));
      const expected = await logits(model);
      mergeAndUnload(model);
      saveModel(model, `${adapter}-merged`);
      cases.push({ task, base, adapter, merged: `${adapter}-merged`, logits: expected });
    }
  }
  return cases;
}

async function main(root: string): Promise<void> {
  const cases = await poolerCases(root);
  for (const [family, tiny] of Object.entries({ roberta: TINY_ROBERTA, bert: TINY_BERT })) {
    for (const task of ['sequence-classification', 'token-classification', 'masked-lm'] as const) {
      const base = path.join(root, `${family}-${task}`);
      const labels = task === 'masked-lm' ? {} : { numLabels: 3 };
      saveModel(createModel({ ...tiny, initializer_range: 0.3 }, { task, seed: 2, ...labels }), base);
      for (const [name, config] of Object.entries(ADAPTERS)) {
        if (task === 'masked-lm' && name === 'head-alone') continue;
        const { model } = loadModel(base);
        addAdapter(model, config, { seed: 5 });
        train(model);
        const adapter = saveAdapter(model, path.join(base, name));
        const expected = await logits(model);
        mergeAndUnload(model);
        saveModel(model, `${adapter}-merged`);
        cases.push({ task, base, adapter, merged: `${adapter}-merged`, logits: expected });
      }
    }
  }
  fs.writeFileSync(path.join(root, 'cases.json'), JSON.stringify({ sequences: SEQUENCES, rows: ROWS, cases }));
}

const [root] = process.argv.slice(2);
if (!root) throw new Error('give the folder to write to');
main(path.resolve(root));
