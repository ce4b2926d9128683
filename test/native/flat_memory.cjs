// Makes programs, runs a step of each and disposes of them, thousands of times; prints the resident
// memory in MB after each tenth. What must hold: flat_memory.test.ts.
const { adamw, batch, build, disposed, parameters, sizes, step } = require('./small_program.cjs');

async function main(count) {
  const memory = [];
  for (let i = 1; i <= count; i++) {
    const held = parameters();
    const program = build(held);
    await program.accumulate(batch, sizes, step, true);
    await program.apply(adamw);
    // Every third is left to the garbage collector.
    if (i % 3 !== 0) disposed(program, ...held);
    if (i % (count / 10) !== 0) continue;
    globalThis.gc();
    await new Promise((resolve) => setImmediate(resolve));
    memory.push(Math.round(process.memoryUsage.rss() / 1e5) / 10);
  }
  process.stdout.write(JSON.stringify(memory));
}
main(Number(process.argv[2]));
