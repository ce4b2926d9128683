/**
 * A named tensor of a model. Its values live in one of three places: a source that can be read
 * again (a slice of a checkpoint file, checked against change), host memory, or the device that
 * trains it. `data()` always gives the newest.
 * How files give such a source: src/io/safetensors.ts. First values: src/nn/init.ts.
 */
import { FusedLoraError } from '../base/errors';
import { type NativeParameter, native } from '../native';

/**
 * Where a frozen parameter's values are read from, again and
 * again: the device holds only packed copies.
 */
export interface ParameterSource {
  /** Reads all values; throws SOURCE_CHANGED when the source is not what it was. */
  read(): Float32Array;
  /**
   * The same in parts, in order: `visit` gets values, in memory that the next part may overwrite,
   * and the place of the first among all. What it got is void when this throws.
   */
  readParts?(visit: (values: Float32Array, at: number) => void): void;
  /** Every `every`-th value, from the first on, without the others being read. */
  readSample?(every: number): Float32Array;
  /** For errors: `model.safetensors: roberta.embeddings.LayerNorm.weight`. */
  readonly description: string;
}

/**
 * Not by `instanceof`: arrays that the addon makes may be of
 * another realm (vm contexts, test runners).
 */
export function isSource(values: Float32Array | ParameterSource): values is ParameterSource {
  return !ArrayBuffer.isView(values);
}

/** The backends: `reference` is naive, in float64 or float32, for tests and for looking inside. */
export type BackendName = 'cpu' | 'reference' | 'cuda';
/** What a program computes in. */
export type ComputeType = 'f32' | 'f64';

/** Values that a model learns, or learnt: fp32 here, packed copies on the device. */
export class Parameter {
  /** The path in the model, set when it is put in a module tree; for errors, graphs and files. */
  name: string;
  readonly shape: readonly number[];
  /** Whether it is trained. Frozen ones get no gradient and no optimizer state. */
  requiresGrad: boolean;
  private source: ParameterSource | undefined;
  private host: Float32Array | undefined;
  private readonly devices = new Map<string, NativeParameter>();
  /** The device whose values are newer than host and source. */
  private newest: NativeParameter | undefined;
  /** Steps that are running on it now. */
  private steps = 0;

  /**
   * @param shape [n] or [rows, columns].
   * @param values fp32 values in row-major order, or a source to read them from.
   */
  constructor(
    shape: readonly number[],
    values: Float32Array | ParameterSource,
    options: { requiresGrad?: boolean; name?: string } = {},
  ) {
    this.shape = shape;
    this.name = options.name ?? 'parameter';
    this.requiresGrad = options.requiresGrad ?? true;
    if (isSource(values)) {
      this.source = values;
    } else {
      this.checkCount(values.length);
      this.host = values;
    }
  }

  /** Number of values. */
  get count(): number {
    return this.shape.reduce((product, dim) => product * dim, 1);
  }

  /** The newest values, as a copy that the caller owns when they come from a device or a source. */
  data(): Float32Array {
    if (this.newest) return this.newest.read('value');
    if (this.host) return this.host;
    const values = (this.source as ParameterSource).read();
    this.checkCount(values.length);
    return values;
  }

  /**
   * Every `every`-th of the newest values, from the first
   * on: of a source that can, no others are read.
   */
  sample(every: number): Float32Array {
    const source = this.newest || this.host ? undefined : this.source;
    if (source?.readSample) return source.readSample(every);
    const values = this.data();
    return Float32Array.from({ length: Math.ceil(values.length / every) }, (_, i) => values[i * every] as number);
  }

  /**
   * The newest values, or where they can be read from: to give them to another parameter, or back
   * to this one later (setData, setSource). A source is not read for it.
   */
  snapshot(): Float32Array | ParameterSource {
    if (this.newest) return this.newest.read('value');
    return this.host ?? (this.source as ParameterSource);
  }

  /** Whether the newest values are those of this source. */
  isAt(source: ParameterSource | undefined): boolean {
    return source !== undefined && !this.newest && !this.host && this.source === source;
  }

  /** Replaces the values, here and on every device that holds them. */
  setData(values: Float32Array): void {
    this.checkCount(values.length);
    this.host = values;
    this.source = undefined;
    this.newest = undefined;
    for (const device of this.devices.values()) device.write('value', values);
  }

  /**
   * Replaces some values, from the one at `at` on. Only for parameters that no product packs, and
   * whose values are on the host.
   * @internal
   */
  setPart(values: Float32Array, at: number): void {
    if (this.newest) throw new FusedLoraError('INTERNAL', `${this.name}: its values were changed on a device`);
    this.host?.set(values, at);
    for (const device of this.devices.values()) if (device.has('value')) device.restorePart(values, at);
  }

  /** Replaces the values by those of a source, read when they are needed. */
  setSource(source: ParameterSource): void {
    this.source = source;
    this.host = undefined;
    this.newest = undefined;
    if (this.devices.size > 0) for (const device of this.devices.values()) device.write('value', source.read());
  }

  /**
   * The device's form of this parameter. What values it holds are
   * the newest; `fillOn` puts them in place where there are none.
   * @internal
   */
  onDevice(backend: BackendName, compute: ComputeType): NativeParameter {
    const key = `${backend}:${compute}`;
    let device = this.devices.get(key);
    if (!device) {
      device = new (native().Parameter)(backend, this.name, [...this.shape], compute);
      this.devices.set(key, device);
    } else if (this.newest && device !== this.newest) {
      device.write('value', this.data());
    }
    return device;
  }

  /**
   * Puts the values in place on a device that has none: new, or released after packing and not
   * changed since, so that packed copies stay valid.
   * @internal
   */
  fillOn(device: NativeParameter): void {
    if (device.has('value')) return;
    const parts = this.newest || this.host ? undefined : this.source;
    if (!parts?.readParts) {
      device.restore(this.data());
      return;
    }
    let count = 0;
    try {
      parts.readParts((values, at) => {
        device.restorePart(values, at);
        count += values.length;
      });
      this.checkCount(count);
    } catch (error) {
      device.release('value');
      throw error;
    }
  }

  /**
   * Whether that device's form of it is still there: not so after `dispose`.
   * @internal
   */
  isOn(device: NativeParameter): boolean {
    for (const one of this.devices.values()) if (one === device) return true;
    return false;
  }

  /**
   * Says that a device's optimizer changed the values.
   * @internal
   */
  changedOn(device: NativeParameter): void {
    if (!this.isOn(device)) return;
    this.newest = device;
    this.host = undefined;
    this.source = undefined;
  }

  /**
   * Frees the values on a device that has packed copies of them. Where they are the newest (trained
   * before), they are brought to the host first: nothing else has them.
   * @internal
   */
  releaseOn(device: NativeParameter): void {
    if (device === this.newest) {
      this.host = device.read('value');
      this.newest = undefined;
    }
    device.release('value');
  }

  /**
   * A step on it begins or has ended.
   * @internal
   */
  countStep(change: 1 | -1): void {
    this.steps += change;
  }

  /**
   * @throws FusedLoraError BUSY while a step runs on it.
   * @internal
   */
  checkIdle(): void {
    if (this.steps === 0) return;
    throw new FusedLoraError(
      'BUSY',
      `${this.name}: a step that uses it is running, and nothing was disposed. Await the step (or stop it by its signal and await that) first.`,
    );
  }

  /**
   * Frees the memory on every device; the newest values are brought to the host first.
   *
   * @throws FusedLoraError BUSY while a step runs on it.
   */
  dispose(): void {
    this.checkIdle();
    if (this.newest) {
      this.host = this.newest.read('value');
      this.newest = undefined;
    }
    for (const device of this.devices.values()) device.dispose();
    this.devices.clear();
  }

  private checkCount(count: number): void {
    if (count !== this.count) {
      throw new FusedLoraError(
        'INVALID_SHAPE',
        `${this.name}: got ${count} values for shape [${this.shape.join(', ')}], which has ${this.count}`,
      );
    }
  }
}
