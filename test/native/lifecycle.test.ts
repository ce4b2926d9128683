/** The process never dies: steps that are cut off by exit, terminate, abort, dispose and misuse. */
import { execFile } from 'node:child_process';
import * as path from 'node:path';
import { promisify } from 'node:util';
import { Worker } from 'node:worker_threads';

const FILE = path.join(__dirname, 'busy_program.cjs');
const run = promisify(execFile);
// The plain CommonJS file shares the addon's raw surface
// with child processes, which run no TypeScript.
const { buildBusyProgram, addon } = require(FILE) as {
  addon: import('../../src/native').NativeAddon;
  buildBusyProgram(): {
    program: import('../../src/native').NativeProgram;
    weight: import('../../src/native').NativeParameter;
    output: number;
    start(): Promise<void>;
  };
};

const codeOf = async (promise: Promise<unknown>) => {
  try {
    await promise;
    return 'no error';
  } catch (error) {
    return (error as { code?: string }).code;
  }
};
const thrownCode = (body: () => unknown) => {
  try {
    body();
    return 'no error';
  } catch (error) {
    return (error as { code?: string }).code;
  }
};

/** Only a hang takes that long, even where other work runs beside the tests. */
const HANG = 300_000;
/** Enough for each of the 25 moments; many more are a maintainer's run. */
const TIMES = Number(process.env['FUSED_LORA_TEST_TIMES'] ?? 26);

describe('a step that is cut off', () => {
  it(
    'process.exit() in mid-step ends cleanly, at every moment of it',
    async () => {
      for (let i = 0; i < TIMES; i += 2) {
        // Two at a time, at moments from the first op to the last.
        await Promise.all([i, i + 1].map((k) => run(process.execPath, [FILE, 'exit', String(k % 25)])));
      }
    },
    HANG,
  );

  it(
    'terminate() of a worker in mid-step ends cleanly, at every moment of it',
    async () => {
      for (let i = 0; i < TIMES; i++) {
        const worker = new Worker(FILE);
        await new Promise((resolve, reject) => {
          worker.once('message', resolve);
          worker.once('error', reject);
        });
        expect(await worker.terminate()).toBe(1);
      }
    },
    HANG,
  );

  it('a program that is let go while it runs still settles', async () => {
    await run(process.execPath, [FILE, 'forget']);
  });

  it('abort stops it between two ops; the next step runs', async () => {
    const { program, start, output } = buildBusyProgram();
    const step = start();
    program.abort();
    expect(await codeOf(step)).toBe('ABORTED');
    await start();
    expect((program.read(output) as Float32Array).every(Number.isFinite)).toBe(true);
  });

  it('dispose stops it; the program then says that it is disposed', async () => {
    const { program, start } = buildBusyProgram();
    const step = start();
    program.dispose();
    expect(['ABORTED', 'no error']).toContain(await codeOf(step));
    expect(thrownCode(() => start())).toBe('DISPOSED');
  });
});

describe('misuse', () => {
  it('a second step while one runs is refused', async () => {
    const { start } = buildBusyProgram();
    const first = start();
    expect(thrownCode(() => start())).toBe('BUSY');
    await first;
  });

  it('reading or writing a parameter that a step uses is refused', async () => {
    const { start, weight } = buildBusyProgram();
    const step = start();
    await new Promise((resolve) => setTimeout(resolve, 2));
    const code = thrownCode(() => weight.write('value', new Float32Array(weight.bytes / 4)));
    await step;
    expect(['BUSY', 'no error']).toContain(code);
    expect(thrownCode(() => weight.write('value', new Float32Array(weight.bytes / 4)))).toBe('no error');
  });

  it('the event loop turns while a step runs', async () => {
    const { start } = buildBusyProgram();
    let turns = 0;
    const timer = setInterval(() => turns++, 1);
    await start();
    clearInterval(timer);
    expect(turns).toBeGreaterThan(0);
  });

  it('two programs take turns', async () => {
    const a = buildBusyProgram();
    const b = buildBusyProgram();
    await Promise.all([a.start(), b.start()]);
    expect(a.program.read(a.output)).toEqual(b.program.read(b.output));
  });

  const step = { seed: 0n, forwardNumber: 0, lossScale: 1 };
  it.each([
    ['an index out of range', { inputIds: new Int32Array(4).fill(16) }, { T: 4, S: 1, M: 0 }, 'INVALID_ARGUMENT'],
    ['a negative index', { inputIds: new Int32Array(4).fill(-1) }, { T: 4, S: 1, M: 0 }, 'INVALID_ARGUMENT'],
    ['a missing input', {}, { T: 4, S: 1, M: 0 }, 'INVALID_ARGUMENT'],
    ['an input of another length', { inputIds: new Int32Array(3) }, { T: 4, S: 1, M: 0 }, 'INVALID_SHAPE'],
    ['an input of another type', { inputIds: new Float32Array(4) }, { T: 4, S: 1, M: 0 }, 'INVALID_SHAPE'],
    ['no tokens', { inputIds: new Int32Array(0) }, { T: 0, S: 1, M: 0 }, 'INVALID_ARGUMENT'],
  ])('%s is an error before the step', async (_, batch, sizes, code) => {
    const { program } = buildBusyProgram();
    const outcome = (() => {
      try {
        return codeOf(program.forward(batch as Record<string, Int32Array>, sizes, step));
      } catch (error) {
        return Promise.resolve((error as { code?: string }).code);
      }
    })();
    expect(await outcome).toBe(code);
  });

  it.each([
    ['no arguments', () => new (addon.Program as unknown as new () => unknown)()],
    ['a spec of the wrong kind', () => new (addon.Program as unknown as new (x: unknown) => unknown)(42)],
    ['a shape with zero', () => new addon.Parameter('cpu', 'p', [0, 4], 'f32')],
    ['a shape that overflows', () => new addon.Parameter('cpu', 'p', [2 ** 35, 2 ** 35], 'f32')],
    ['an unknown backend', () => new addon.Parameter('tpu', 'p', [1], 'f32')],
    [
      'a typed array of the wrong length',
      () => new addon.Parameter('cpu', 'p', [4], 'f32').write('value', new Float32Array(3)),
    ],
  ])('%s throws an error with a code', (_, body) => {
    expect(thrownCode(body)).toMatch(/^[A-Z_]+$/);
  });
});
