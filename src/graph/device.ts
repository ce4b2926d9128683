/**
 * Which backend a run computes on, and why: what `auto` chose, or an error that names the cause.
 * The causes come from the addon (src/native.ts); the precision that goes with it: precision.ts.
 */
import { FusedLoraError } from '../base/errors';
import { native } from '../native';
import type { BackendName } from './parameter';

/** Where to compute; auto takes the GPU where there is one that can be used. */
export type DeviceOption = 'auto' | 'cpu' | 'cuda';

export interface ChosenDevice {
  backend: BackendName;
  /** One line for people: what was chosen and why. */
  reason: string;
}

/** What is the case, without what to do about it: nobody has asked for CUDA. */
const firstSentence = (text: string) => text.split(/\. (?=[A-Z])/)[0];

/**
 * `auto` takes CUDA where it can be had and says why not where it can not.
 *
 * @throws FusedLoraError DEVICE_UNAVAILABLE when `cuda` is
 *   asked for and is not there: never a silent fallback.
 */
export function chooseDevice(device: DeviceOption = 'auto'): ChosenDevice {
  const { cuda, isa, threads } = native().info();
  const cpu = `${isa}, ${threads} thread${threads === 1 ? '' : 's'}`;
  switch (device) {
    case 'cpu':
      return { backend: 'cpu', reason: `cpu (${cpu}): asked for` };
    case 'cuda':
      if (cuda.available) return { backend: 'cuda', reason: `cuda (${cuda.device ?? 'GPU'}): asked for` };
      throw new FusedLoraError(
        'DEVICE_UNAVAILABLE',
        `device 'cuda' can not be used: ${cuda.reason}. Correct that, or take --device cpu (device: 'cpu').`,
      );
    case 'auto':
      return cuda.available
        ? { backend: 'cuda', reason: `cuda (${cuda.device ?? 'GPU'}): it is there` }
        : { backend: 'cpu', reason: `cpu (${cpu}): no CUDA device (${firstSentence(cuda.reason)})` };
    default:
      throw new FusedLoraError('INVALID_ARGUMENT', `device is '${String(device)}'; it must be auto, cpu or cuda`);
  }
}
