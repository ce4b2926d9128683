// Run with build/libfused_lora_failing_malloc.so preloaded: each call of the addon again and again,
// with its first allocation failing, then its second, and so on, until one has all it asks for.
// Prints a line of JSON a call. What must hold: out_of_memory.test.ts.
const fs = require('node:fs');
const { addon, H, R, adamw, batch, build, disposed, filled, parameters, sizes, step } = require('./small_program.cjs');

const file = fs.openSync(process.env.FUSED_LORA_ALLOCATIONS_FILE, 'r+');
const numbers = new BigUint64Array(4);
const put = (failing) => {
  numbers[0] = BigInt(failing);
  numbers[1] = 0n;
  fs.writeSync(file, numbers, 0, 32, 0);
};
const counted = () => {
  fs.readSync(file, numbers, 0, 32, 0);
  return Number(numbers[1]);
};

const ranges = fs
  .readFileSync('/proc/self/maps', 'utf8')
  .split('\n')
  .filter((line) => line.includes('fused-lora.node'))
  .map((line) =>
    line
      .split(' ')[0]
      .split('-')
      .map((address) => BigInt(`0x${address}`)),
  );
numbers[2] = ranges[0][0];
numbers[3] = ranges.at(-1)[1];

const bytes = (...arrays) => arrays.map((array) => Buffer.from(array.buffer, array.byteOffset, array.byteLength));
const slots = (held) => bytes(...[2, 3].flatMap((p) => ['value', 'firstMoment'].map((slot) => held[p].read(slot))));

/** Each makes what a trial needs, and gives the call that is tried and what it left. */
const CALLS = {
  parameter: () => {
    let made;
    const call = () => {
      made = new addon.Parameter('cpu', 'a name that is longer than a string holds in itself', [R, H], 'f32');
      made.write('value', filled(R * H));
    };
    return { call, result: () => bytes(made.read('value')), end: () => made?.dispose() };
  },
  build: () => {
    const held = parameters();
    let program;
    const call = () => {
      program = build(held);
    };
    const result = async () => {
      await program.forward(batch, sizes, step);
      return bytes(program.read(12));
    };
    return { call, result, end: () => disposed(program, ...held) };
  },
  reserve: () => stepOf((program) => program.reserve({ T: 64, S: 8, M: 8 })),
  forward: () =>
    stepOf(
      (program) => program.forward(batch, sizes, step),
      (program) => bytes(program.read(12)),
    ),
  accumulate: () =>
    stepOf(
      (program) => program.accumulate(batch, sizes, step, true),
      (_, held) => bytes(held[2].read('gradient'), held[3].read('gradient')),
    ),
  apply: () =>
    stepOf(
      (program) => program.apply(adamw),
      (_, held) => slots(held),
      (program) => program.accumulate(batch, sizes, step, true),
    ),
  read: () =>
    stepOf(
      (program) => program.read(12),
      undefined,
      (program) => program.forward(batch, sizes, step),
    ),
  runOp: () => {
    const y = new Float32Array(300 * 3);
    const x = { data: filled(300 * H), shape: [300, H] };
    const call = () =>
      addon.runOp(
        'cpu',
        'linear',
        [x, { data: filled(3 * H), shape: [3, H] }],
        [{ data: y, shape: [300, 3] }],
        {},
        step,
      );
    return { call, result: () => bytes(y), end: () => {} };
  },
};

async function stepOf(call, result = () => [], before = () => {}) {
  const held = parameters();
  const program = build(held);
  await before(program);
  return {
    call: () => call(program),
    result: () => result(program, held),
    end: () => disposed(program, ...held),
  };
}

const codeOf = async (call) => {
  try {
    await call();
    return 'none';
  } catch (error) {
    // wrapNativeError of src/native.ts names what the addon could not.
    return error.code ?? (error.message === 'std::bad_alloc' ? 'OUT_OF_MEMORY' : String(error));
  }
};

async function main() {
  for (const [name, make] of Object.entries(CALLS)) {
    const codes = {};
    let allocations = 0;
    let same = 0;
    let expected;
    for (let failing = 0; ; failing++) {
      const { call, result, end } = await make();
      put(failing);
      const code = await codeOf(call);
      const asked = counted();
      put(0);
      if (failing === 0) {
        expected = Buffer.concat(await result());
        allocations = asked;
      } else {
        codes[code] = (codes[code] ?? 0) + 1;
        // The same call again has what it needs, and nothing was lost.
        if (code !== 'none') await call();
        if (Buffer.concat(await result()).equals(expected)) same++;
      }
      end();
      if (failing > asked) {
        process.stdout.write(`${JSON.stringify({ name, allocations, tried: failing, same, codes })}\n`);
        break;
      }
    }
  }
}
main();
