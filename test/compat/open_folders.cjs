/**
 * A fresh process that opens folders written at 92a1661 and goes on from their checkpoints;
 * opens_as_before.test.ts starts it.
 * node --require tsx/cjs open_folders.cjs FOLDER: FOLDER holds bases/ and runs/ as they were then;
 * prints JSON.
 */
const fs = require('node:fs');
const path = require('node:path');
const library = require('../../src/index');
const { RESUMED, TASKS, logitsOf, nameOfBase, optionsOf, runsOf } = require('./recipes.cjs');

async function main() {
  process.chdir(process.argv[2]);
  const opened = {};
  const resumed = {};
  for (const run of TASKS.flatMap(runsOf)) {
    const textModel = await library.openTextModel(path.join('runs', run.name));
    const { task, labelNames } = textModel.model;
    opened[run.name] = {
      task,
      labelNames,
      cpu: await logitsOf(library, textModel, 'cpu'),
      reference: await logitsOf(library, textModel, 'reference'),
    };
    textModel.model.dispose();
    if (!RESUMED.includes(run.name)) continue;
    const outputDir = path.join('resumed', run.name);
    const result = await library.fineTune({
      ...optionsOf(run),
      model: path.join('bases', nameOfBase(run.base)),
      outputDir,
      resume: true,
    });
    result.textModel.model.dispose();
    const file = run.method === 'full' ? 'model.safetensors' : 'adapter_model.safetensors';
    const first = fs
      .readFileSync(path.join(outputDir, 'events.jsonl'), 'utf8')
      .split('\n')
      .map((line) => line && JSON.parse(line));
    resumed[run.name] = {
      file,
      content: fs.readFileSync(path.join(outputDir, file)).toString('base64'),
      firstStep: first.find((event) => event.event === 'step').step,
    };
  }
  process.stdout.write(JSON.stringify({ opened, resumed }));
}

main();
