/**
 * Why a GPU can not be used: told by cause, with what to do,
 * by the API and the command line; and what goes wrong later.
 */
import type { CudaInfo } from '../../src/native';
import { describeEmulated, runEmulated } from './emulated';

// Kernels on the CPU are slow, and slower where other tests run beside these.
jest.setTimeout(300_000);

interface Tried {
  code?: string;
  message?: string;
  /** The call that threw. */
  during?: string;
  loss?: number;
}

async function faultyStep(fault: string, args: string[] = [], env: NodeJS.ProcessEnv = {}) {
  const { stdout, stderr } = await runEmulated('test/cuda/faulty_step.ts', args, { fault, env });
  const lines = stdout.trim().split('\n');
  if (lines.length !== 3) throw new Error(`${stdout}\n${stderr}`);
  const [first, second, info] = lines.map((line) => JSON.parse(line)) as [Tried, Tried, CudaInfo];
  return { first, second, info };
}

const causes: [fault: string, cause: string, message: RegExp, env?: NodeJS.ProcessEnv][] = [
  ['noDriver', 'noDriver', /there is no NVIDIA driver .*Install one that supports CUDA 13\.0/],
  ['driver=12040', 'driverTooOld', /too old: it supports CUDA 12\.4, this build needs CUDA 13\.0\. Update the driver/],
  ['noDevice', 'noDevice', /shows no GPU \(CUDA_VISIBLE_DEVICES is '7'\).*nvidia-smi/, { CUDA_VISIBLE_DEVICES: '7' }],
  ['capability=75', 'unsupportedDevice', /compute capability 7\.5.* is too old: compute capability 8\.0 \(Ampere\)/],
  ['memory=0', 'notWorking', /has no memory left for this process: out of memory .*Free it from other programs/],
  ['noKernelImage', 'noKernelImage', /this build has no kernels for .*Build with FUSED_LORA_CUDA_ARCHS set/],
];

describeEmulated('a device that can not be had', () => {
  it.each(causes)('%s: an explicit cuda is an error that says so', async (fault, cause, message, env = {}) => {
    const { first, second, info } = await faultyStep(fault, [], env);
    expect(first).toMatchObject({ code: 'DEVICE_UNAVAILABLE', message: expect.stringMatching(message) });
    expect(first.message).toMatch(/^device 'cuda' can not be used: .*take --device cpu/);
    expect(second).toEqual(first);
    expect(info).toMatchObject({ built: true, available: false, cause, reason: expect.stringMatching(message) });
  });

  it.each(causes.slice(2, 4))('%s: auto takes the CPU and info says why', async (fault, cause, message, env = {}) => {
    const { code, stdout } = await runEmulated('src/cli/main.ts', ['info'], { fault, env });
    expect(code).toBe(0);
    expect(stdout).toContain(`cuda       not available (${cause}): `);
    expect(stdout).toMatch(message);
    expect(stdout).toMatch(/^device {5}cpu .*no CUDA device/m);
    expect(stdout).toMatch(/build for CUDA 13\.0/);
  });

  it('an explicit cuda is no fallback on the command line', async () => {
    const { code, stderr } = await runEmulated('src/cli/main.ts', ['info', '--device', 'cuda'], { fault: 'noDriver' });
    expect(code).not.toBe(0);
    expect(stderr).toMatch(/DEVICE_UNAVAILABLE.*device 'cuda' can not be used: there is no NVIDIA driver/);
  });

  it('the native calls themselves say it too', async () => {
    const { stdout } = await runEmulated('test/cuda/native_parameter.ts', [], { fault: 'noDriver' });
    expect(stdout).toMatch(/^DEVICE_UNAVAILABLE: device 'cuda' can not be used: .*, or use device 'cpu'/);
  });
});

describeEmulated('a device that is there', () => {
  it('is taken by auto; info names it, its memory and its versions', async () => {
    const { code, stdout } = await runEmulated('src/cli/main.ts', ['info']);
    expect(code).toBe(0);
    expect(stdout).toMatch(/^cuda {7}emulated GPU \(compute capability 8\.0, 4 GiB\), 4\.0 GiB of 4\.0 GiB free/m);
    expect(stdout).toMatch(/driver for CUDA 13\.0, build for CUDA 13\.0, steps as CUDA graphs/);
    expect(stdout).toMatch(/^device {5}cuda \(emulated GPU.*it is there/m);
  });

  it('trains, and says what memory it took', async () => {
    const { first, second, info } = await faultyStep('');
    expect(first.loss).toBeGreaterThan(0);
    expect(second).toEqual(first);
    expect(info).toMatchObject({ available: true, cause: 'none', reason: '', graphs: true, computeCapability: 8 });
    expect(info.peakBytes).toBeGreaterThan(1000);
    expect(info.freeBytes).toBeLessThan(info.totalBytes as number);
  });

  it('FUSED_LORA_CUDA_GRAPHS=off gives the same losses', async () => {
    const graphs = await faultyStep('');
    const plain = await faultyStep('', [], { FUSED_LORA_CUDA_GRAPHS: 'off' });
    expect(plain.info.graphs).toBe(false);
    expect(plain.first).toEqual(graphs.first);
  });

  it('has no pinned memory: the same losses', async () => {
    const [usual, without] = await Promise.all([faultyStep(''), faultyStep('noPinned')]);
    expect(without.first).toEqual(usual.first);
  });
});

describeEmulated('too little memory', () => {
  it('for a batch: an error before the first step, with what is needed and free', async () => {
    const { first, second, info } = await faultyStep('memory=16', ['--tokens', '40000']);
    expect(first).toMatchObject({ code: 'OUT_OF_MEMORY', during: 'reserve' });
    expect(second).toEqual(first);
    expect(first.message).toMatch(/emulated GPU.*: \d+ bytes \(\d+ MiB\) more are needed, \d+ bytes \(\d+ MiB\) of/);
    expect(first.message).toMatch(/are free\. Use smaller batches/);
    // The device is well: less would go.
    expect(info.cause).toBe('none');
  });

  it('for a step as a graph: says what does without', async () => {
    const { first } = await faultyStep('noInstantiate');
    expect(first).toMatchObject({
      code: 'OUT_OF_MEMORY',
      message: expect.stringMatching(/FUSED_LORA_CUDA_GRAPHS=off/),
    });
  });

  it.each([
    ['with graphs', {}],
    ['launch by launch', { FUSED_LORA_CUDA_GRAPHS: 'off' }],
  ])('to load a kernel, %s: out of memory, not a fault, and the device goes on', async (_, env) => {
    const { first, second, info } = await faultyStep('noKernelMemory=20', [], env);
    expect(first.code).toBe('OUT_OF_MEMORY');
    expect(first.message).toMatch(/needs memory of its own, \d+ bytes .* are free/);
    expect(second.loss).toBeGreaterThan(0);
    expect(info.cause).toBe('none');
  });
});

describeEmulated('a kernel that faults', () => {
  it.each([
    ['with graphs', {}, 'apply'],
    // The first step without graphs finds the size of the
    // memory that its ops share, and waits when that grows.
    ['launch by launch', { FUSED_LORA_CUDA_GRAPHS: 'off' }, 'accumulate'],
  ])('%s: the device is marked as failed, and every later call says to restart the process', async (_, env, during) => {
    const { first, second, info } = await faultyStep('failAtLaunch=20', [], env);
    // A recorded step is not waited for before its end: that is where its fault shows.
    expect(first).toMatchObject({ code: 'DEVICE_UNAVAILABLE', during });
    expect(first.message).toMatch(/the GPU failed \(.*\): an illegal memory access .*restart it/);
    expect(second.code).toBe('DEVICE_UNAVAILABLE');
    expect(second.message).toMatch(/device 'cuda' can not be used: the GPU failed .*restart it/);
    expect(info).toMatchObject({ available: false, cause: 'failed', reason: expect.stringMatching(/restart it/) });
  });
});
