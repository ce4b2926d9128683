/**
 * Runs a model's graph op by op in float64 and gives back every value: a look inside one batch.
 * The ordinary way to run it is a Program: src/graph/program.ts.
 */
import { plan } from '../graph/plan';
import { type BatchTensors, Program } from '../graph/program';
import { resolveDim } from '../graph/value';
import { type Model, type TraceOptions, trace } from './model';

/** One value that {@link inspect} saw. */
export interface InspectedValue {
  /** Row-major; float64 as the reference backend computed it, Int32Array for indices. */
  data: Float64Array | Int32Array | Float32Array;
  shape: number[];
}

/**
 * The debugger's view: runs the model's graph, unfused, op by op in float64 on the reference
 * backend, and returns every value by name (module path and op, e.g.
 * `roberta.encoder.layer.0.attention.self.query:linear`), in the order in which they are computed.
 * Slow by design: for one small batch.
 *
 * @param options `training` false (no dropout) by default; `loss` true when the batch has labels.
 */
export async function inspect(
  model: Model,
  batch: BatchTensors,
  options: TraceOptions = {},
): Promise<Map<string, InspectedValue>> {
  const hasLabels = 'labels' in batch.tensors || 'targets' in batch.tensors;
  const graph = trace(model, { training: false, loss: hasLabels, ...options });
  const whole = plan(graph, { train: false, fused: false, keepAll: true });
  using program = new Program(whole, { backend: 'reference', compute: 'f64' });
  await program.forward(batch);
  const outputName = new Map([...whole.outputIndices].map(([name, index]) => [index, name]));
  const inspected = new Map<string, InspectedValue>();
  whole.values.forEach((value, index) => {
    if (value.kind !== 'computed') return;
    const name = outputName.get(index) ?? value.name;
    const shape = value.shape.map((dim) => resolveDim(dim, batch.sizes));
    inspected.set(name, { data: program.read(name), shape });
  });
  return inspected;
}
