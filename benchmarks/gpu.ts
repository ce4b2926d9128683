/**
 * What does a GPU give? One linear layer and whole training steps,
 * against PEFT eager and compiled, cuBLASLt's bare product and HF
 * Trainer + PEFT. Where there is no GPU it says so, and exits with 0.
 * Its parts are the files of benchmarks/gpu.
 *
 *     npm run bench:gpu -- [--quick] [--only linear|step|hopper] [--json FILE]
 */
import * as path from 'node:path';
import { parseArgs } from 'node:util';
import { native } from '../src/native';
import { benchHopper } from './gpu/hopper';
import { benchLinear } from './gpu/linear';
import { benchSteps } from './gpu/step';
import { targetSection } from './gpu/targets';
import { closeChildren } from './lib/child';
import { start } from './lib/main';
import { machineFacts } from './lib/report';
import { printResult, type Result, resultFile, writeResult } from './lib/result';

const question =
  'What does a GPU give: one linear layer and whole training steps, against PEFT, torch.compile, cuBLASLt and HF Trainer?';

async function run(): Promise<void> {
  const { values } = parseArgs({
    options: {
      quick: { type: 'boolean', default: false },
      only: { type: 'string' },
      json: { type: 'string' },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) {
    console.log(`${question}\n\n  npm run bench:gpu -- [--quick] [--only linear|step|hopper] [--json FILE]`);
    return;
  }
  if (values.only !== undefined && !['linear', 'step', 'hopper'].includes(values.only)) {
    throw new Error(`--only ${values.only}: it must be linear, step or hopper`);
  }
  const { cuda } = native().info();
  const file = values.json ?? resultFile('gpu');
  const empty: Result = {
    benchmark: 'gpu',
    question,
    quick: values.quick,
    machine: machineFacts(cuda.available ? 'cuda' : 'cpu'),
    peers: {},
    figures: {},
    sections: [],
    rows: [],
  };
  if (!cuda.available) {
    console.log(`skipped: nothing can be measured without a GPU. ${cuda.reason}`);
    writeResult({ ...empty, figures: { gpu: { missing: cuda.reason } } }, file);
    return;
  }
  // The kernels run on the CPU (native/emulator): tiny
  // sizes, which only show that the benchmark runs.
  const emulated = cuda.device?.startsWith('emulated') ?? false;
  if (emulated) console.log('the GPU is emulated: these figures are none, they only show that the benchmark runs');
  const options = { quick: values.quick, emulated };
  const result = { ...empty };
  try {
    for (const [name, bench] of [
      ['linear', benchLinear],
      ['step', benchSteps],
      ['hopper', benchHopper],
    ] as const) {
      if (values.only !== undefined && values.only !== name) continue;
      const measured = await bench(options);
      result.peers[name] = measured.peers;
      Object.assign(result.figures, measured.figures);
      result.sections.push(...measured.sections);
      result.rows.push({ [name]: measured.rows, ...('missing' in measured && { missing: measured.missing }) });
      if ('missing' in measured) {
        for (const [side, reason] of Object.entries(measured.missing)) console.log(`not measured: ${side}: ${reason}`);
      }
    }
    result.sections.push(targetSection(result.figures, Object.keys(result.peers)));
  } finally {
    closeChildren();
    writeResult(result, file);
  }
  printResult(result);
  console.log(`\nwritten to ${path.relative(process.cwd(), file)}`);
}

start(run);
