/**
 * A fresh process that opens the folders of opens_again.test.ts with another seed than any run had;
 * prints their tasks, labels and logits as JSON.
 * node --require tsx/cjs open_again.cjs FOLDER NAMES: the names as JSON, of folders below runs/.
 */
const path = require('node:path');
const library = require('../../../src/index');
const { logitsOf } = require('../../compat/recipes.cjs');

async function main() {
  const [dir, names] = process.argv.slice(2);
  process.chdir(dir);
  const opened = {};
  for (const name of JSON.parse(names)) {
    const textModel = await library.openTextModel(path.join('runs', name), { seed: 271828 });
    const { task, labelNames } = textModel.model;
    opened[name] = { task, labelNames, logits: await logitsOf(library, textModel, 'cpu') };
    textModel.model.dispose();
  }
  process.stdout.write(JSON.stringify(opened));
}

main();
