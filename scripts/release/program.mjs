/**
 * The program that shows that an installed or bundled fused-lora works: a kernel and a prediction,
 * by require and by import; and the adapter that it predicts with. Used by installs.mjs and
 * scripts/try-bundlers.mjs; what platforms are tried with is scripts/platform/trial.cjs.
 */
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { unpackAddon } from '../lib/install-packages.mjs';
import { fail, root, run } from '../lib/shell.mjs';

const BUILT = join(root, 'build', 'Release', 'fused-lora.node');

/** An async function `predict` without its imports; folders are below the current one. */
export const PREDICT = `
async function predict() {
  const x = { data: Float32Array.of(2), shape: [1, 1] };
  const { y } = await linear({ x, weight: { data: Float32Array.of(3), shape: [1, 1] } });
  const opened = await openTextModel('adapter', { baseModel: 'model' });
  const [{ label, probabilities }] = await classify(opened, ['a warm and funny film']);
  opened.model.dispose();
  return JSON.stringify([y.data[0], label, ...Object.values(probabilities)]);
}
`;
const MAIN = `${PREDICT}
predict().then(console.log, (error) => {
  console.log(error.code, error.message);
  process.exitCode = 1;
});
`;
export const IMPORTS = `
import { classify, openTextModel } from 'fused-lora';
import { linear } from 'fused-lora/kernels';
`;
/** name → text */
export const PROGRAMS = {
  'program.cjs': `
const { classify, openTextModel } = require('fused-lora');
const { linear } = require('fused-lora/kernels');
${MAIN}`,
  'program.mjs': IMPORTS + MAIN,
};

/**
 * Trains an adapter of the tiny model for two steps, by the addon that was built here, or by that
 * of the package where none was. No program that is started later is told of either.
 * @param packages folder of the tarballs
 * @returns its folder, and what the program must print that has both
 */
export async function makeAdapter(folder, packages, built = BUILT) {
  const platform = `${process.platform}-${process.arch}`;
  const addon = existsSync(built) ? built : unpackAddon(platform, `${folder}-addon`, packages);
  if (!existsSync(join(root, 'dist', 'index.js')) && run(process.execPath, ['scripts/build-ts.mjs']).status !== 0)
    fail('Compiling src failed, see above.');
  const { classify, fineTune } = createRequire(import.meta.url)('../../dist/index.js');
  process.env.FUSED_LORA_PREBUILD = addon;
  const { textModel } = await fineTune({
    model: join(root, 'assets/tiny-roberta'),
    train: ['positive', 'negative'].map((label) => ({ text: `a ${label} film`, label })),
    outputDir: folder,
    overwrite: true,
    method: 'lora',
    lora: { r: 2, loraAlpha: 4, targetModules: ['query', 'value'] },
    maxSteps: 2,
    precision: 'fp32',
  });
  const [{ label, probabilities }] = await classify(textModel, ['a warm and funny film']);
  textModel.model.dispose();
  delete process.env.FUSED_LORA_PREBUILD;
  return { adapter: folder, expected: JSON.stringify([6, label, ...Object.values(probabilities)]) };
}
