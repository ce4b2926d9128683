/**
 * Rates of a run: over the last steps for people to watch, over all for the record.
 * They are told by events.ts; how fast single ops are is measured in benchmarks/.
 */

export interface Rates {
  tokensPerSecond: number;
  samplesPerSecond: number;
}

interface StepCost {
  seconds: number;
  tokens: number;
  samples: number;
}

export class Throughput {
  /** Steps that `recent` looks back over. */
  private static readonly WINDOW = 50;
  private readonly window: StepCost[] = [];
  private readonly sum: StepCost = { seconds: 0, tokens: 0, samples: 0 };
  private steps = 0;

  add(seconds: number, tokens: number, samples: number): void {
    this.window.push({ seconds, tokens, samples });
    if (this.window.length > Throughput.WINDOW) this.window.shift();
    this.sum.seconds += seconds;
    this.sum.tokens += tokens;
    this.sum.samples += samples;
    this.steps++;
  }

  recent(): Rates {
    const seconds = this.window.reduce((s, step) => s + step.seconds, 0);
    return {
      tokensPerSecond: rate(
        this.window.reduce((s, step) => s + step.tokens, 0),
        seconds,
      ),
      samplesPerSecond: rate(
        this.window.reduce((s, step) => s + step.samples, 0),
        seconds,
      ),
    };
  }

  secondsPerStep(): number {
    return this.steps === 0 ? 0 : this.sum.seconds / this.steps;
  }

  total(): Rates & { seconds: number } {
    const { seconds, tokens, samples } = this.sum;
    return { seconds, tokensPerSecond: rate(tokens, seconds), samplesPerSecond: rate(samples, seconds) };
  }
}

function rate(count: number, seconds: number): number {
  return seconds > 0 ? count / seconds : 0;
}
