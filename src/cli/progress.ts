/**
 * What a training run shows while it runs: one live line on a terminal, a plain line now and then
 * elsewhere. The events come from src/train/events.ts.
 */
import { Format, SingleBar } from 'cli-progress';
import { printable } from '../base/printable';
import type { EvaluationEvent, StepEvent, TrainerCallbacks } from '../train/events';

/** Seconds between plain lines. */
const PLAIN_SECONDS = 10;

export interface Progress extends TrainerCallbacks {
  /** Leaves the live line, before anything else is printed. */
  stop(): void;
}

/** 75 → "1:15", 3700 → "1:01:40". */
export function formatSeconds(seconds: number): string {
  const whole = Math.max(0, Math.round(seconds));
  const [h, m, s] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  const two = (n: number) => String(n).padStart(2, '0');
  return h > 0 ? `${h}:${two(m)}:${two(s)}` : `${m}:${two(s)}`;
}

function facts(event: StepEvent): string {
  return [
    `loss ${event.loss.toFixed(4)}`,
    `lr ${event.learningRate.toExponential(2)}`,
    `${Math.round(event.tokensPerSecond)} tokens/s`,
    `ETA ${formatSeconds(event.secondsLeft)}`,
  ].join(' | ');
}

function evaluated(event: EvaluationEvent): string {
  const metrics = Object.entries(event.metrics).map(([name, value]) => `${name} ${value.toFixed(4)}`);
  return `step ${event.step} (epoch ${event.epoch.toFixed(2)}): ${metrics.join(', ')}${event.best ? ' (best)' : ''}`;
}

/** A line a step where everything is to be said; nothing where nothing is. */
export function progress(
  { quiet = false, verbose = false }: { quiet?: boolean; verbose?: boolean },
  stream: NodeJS.WriteStream = process.stderr,
): Progress {
  if (quiet) return { stop() {} };
  return stream.isTTY && !verbose ? live(stream) : plain(stream, verbose ? 0 : PLAIN_SECONDS);
}

function live(stream: NodeJS.WriteStream): Progress {
  let bar: SingleBar | undefined;
  const stop = () => {
    bar?.stop();
    bar = undefined;
  };
  const print = (line: string) => {
    stop();
    stream.write(`${printable(line)}\n`);
  };
  return {
    stop,
    onStep(event) {
      if (!bar) {
        bar = new SingleBar({
          stream,
          hideCursor: true,
          clearOnComplete: true,
          stopOnComplete: false,
          barsize: 20,
          format: (options, params, payload: { text: string }) =>
            `${Format.BarFormat(params.progress, options)} ${params.value}/${params.total} | ${payload.text}`,
        });
        bar.start(event.totalSteps, event.step, { text: facts(event) });
      }
      bar.update(event.step, { text: facts(event) });
    },
    onEvaluate: (event) => print(evaluated(event)),
    onCheckpoint: ({ path }) => print(`checkpoint: ${path}`),
  };
}

function plain(stream: NodeJS.WriteStream, seconds: number): Progress {
  let last = Number.NEGATIVE_INFINITY;
  return {
    stop() {},
    onStep(event) {
      const now = performance.now();
      if (now - last < 1000 * seconds && event.step !== event.totalSteps) return;
      last = now;
      stream.write(`step ${event.step}/${event.totalSteps} | ${facts(event)}\n`);
    },
    onEvaluate: (event) => void stream.write(`${printable(evaluated(event))}\n`),
    onCheckpoint: ({ path }) => void stream.write(`checkpoint: ${printable(path)}\n`),
  };
}
