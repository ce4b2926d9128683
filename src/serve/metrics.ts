/**
 * What a server counts, for Prometheus: requests, what waits, batches, tokens, memory. prom-client
 * keeps and prints the figures; where they come from is engine.ts and plugin.ts.
 */
import type { Registry } from 'prom-client';
import type { EncodedInput } from './encode';
import { peers } from './peers';

/** Seconds, from a short text alone to a queue that is full. */
const SECONDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30];
const BATCH_TOKENS = [16, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384];

export class Metrics {
  private readonly registry: Registry;
  private readonly requests;
  private readonly seconds;
  private readonly batches;
  private readonly batchSeconds;
  private readonly tokens;
  private readonly textCount;
  private waiting: () => { texts: number; tokens: number } = () => ({ texts: 0, tokens: 0 });

  constructor() {
    const { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } = peers().promClient;
    this.registry = new Registry();
    const registers = [this.registry];
    const counter = (name: string, help: string, labelNames: string[]) =>
      new Counter({ name: `fused_lora_${name}`, help, labelNames, registers });
    const histogram = (name: string, help: string, labelNames: string[], buckets: number[]) =>
      new Histogram({ name: `fused_lora_${name}`, help, labelNames, buckets, registers });
    const gauge = (name: string, help: string, value: () => number) =>
      new Gauge({
        ...{ name: `fused_lora_${name}`, help, registers },
        collect() {
          this.set(value());
        },
      });
    this.requests = counter('requests_total', 'Requests answered.', ['route', 'model', 'status']);
    this.seconds = histogram('request_seconds', 'From the request to its answer.', ['route', 'model'], SECONDS);
    this.textCount = counter('texts_total', 'Texts accepted.', ['model']);
    this.tokens = counter('tokens_total', 'Tokens of these, special ones counted.', ['model']);
    this.batches = histogram('batch_tokens', 'Tokens of a batch.', [], BATCH_TOKENS);
    this.batchSeconds = histogram('batch_seconds', 'Time of a batch in the model.', [], SECONDS);
    gauge('queue_texts', 'Texts that wait for a batch.', () => this.waiting().texts);
    gauge('queue_tokens', 'Tokens of these.', () => this.waiting().tokens);
    collectDefaultMetrics({ register: this.registry });
  }

  /** Where what waits is read from. */
  watch(waiting: () => { texts: number; tokens: number }): void {
    this.waiting = waiting;
  }

  request(route: string, model: string, status: number, seconds: number): void {
    this.requests.inc({ route, model, status });
    this.seconds.observe({ route, model }, seconds);
  }

  texts(model: string, encoded: readonly EncodedInput[]): void {
    this.textCount.inc({ model }, encoded.length);
    this.tokens.inc(
      { model },
      encoded.reduce((sum, { tokens }) => sum + tokens, 0),
    );
  }

  batch({ tokens, seconds }: { tokens: number; seconds: number }): void {
    this.batches.observe(tokens);
    this.batchSeconds.observe(seconds);
  }

  get contentType(): string {
    return this.registry.contentType;
  }

  print(): Promise<string> {
    return this.registry.metrics();
  }

  close(): void {
    this.registry.clear();
  }
}
