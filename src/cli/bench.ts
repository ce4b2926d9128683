/**
 * `fused-lora bench`: what fusion gains on this machine, in under a minute; measured by
 * bench_measure.ts. The project's own benchmarks (benchmarks/) compare with other libraries too.
 */
import { Command } from 'commander';
import { FusedLoraError } from '../base/errors';
import { chooseDevice, type DeviceOption } from '../graph/device';
import { choosePrecision, type PrecisionOption } from '../graph/precision';
import { LORA_DEFAULTS } from '../task/options/defaults';
import { compareLayers, compareSteps, type LayerComparison, type StepComparison } from './bench_measure';
import { showFigures } from './figures';
import { addExamples, integer, type OutputOptions } from './options';
import { action } from './run';
import { addOutputOptions, addRows, rowsOfGroup } from './table_options';
import { alignColumns, milliseconds } from './text';

interface BenchOptions extends OutputOptions {
  tokens: number;
  r: number;
  hiddenSize: number;
  rounds: number;
  device?: DeviceOption;
  precision?: PrecisionOption;
}

export function benchCommand(): Command {
  const command = new Command('bench')
    .description('measure LoRA layers and training steps, fused against separate ops, on random values')
    .optionsGroup('What is measured:')
    .option('--tokens <n>', 'tokens of a batch', integer(1), 1024)
    .option('--r <rank>', 'LoRA rank', integer(1), LORA_DEFAULTS.r)
    .option(
      '--hidden-size <n>',
      'of the encoder, a multiple of 64: 768 as RoBERTa-base, 1024 as large',
      integer(64),
      768,
    )
    .option('--rounds <n>', 'measurements of each side, in turns', integer(3), 7);
  addOutputOptions(addRows(command, rowsOfGroup('Device')));
  addExamples(command, ['fused-lora bench', 'fused-lora bench --hidden-size 1024 --r 16 --json bench.json']);
  return command.action(
    action(async (context, options: BenchOptions) => {
      if (options.hiddenSize % 64 !== 0) {
        throw new FusedLoraError(
          'INVALID_ARGUMENT',
          `--hidden-size is ${options.hiddenSize}; it must be a multiple of 64`,
        );
      }
      const { backend, reason } = chooseDevice(options.device);
      if (backend === 'reference') throw new FusedLoraError('INTERNAL', 'the reference backend is not for benchmarks');
      const precision = choosePrecision(options.precision, backend);
      const settings = { ...options, backend, precision, signal: context.signal };
      context.say(`${reason}, precision ${precision}: this takes up to a minute`);
      const layers = await compareLayers(settings);
      const step = await compareSteps(settings);
      const { tokens, r, hiddenSize, rounds } = options;
      const figures = { command: 'bench', device: reason, precision, tokens, r, hiddenSize, rounds, layers, step };
      showFigures(options.json, figures, describe(options, layers, step));
    }),
  );
}

function describe({ tokens, r, rounds }: BenchOptions, layers: LayerComparison[], step: StepComparison): string {
  const times = (ratio: number) => `${ratio.toFixed(2)} ×`;
  const rows = layers.map(({ inFeatures, outFeatures, pass, fused, separate, linear, speedup, overLinear }) => [
    `${inFeatures} → ${outFeatures} ${pass}`,
    milliseconds(fused),
    milliseconds(separate),
    times(speedup),
    linear === undefined ? '' : milliseconds(linear),
    overLinear === undefined ? '' : times(overLinear),
  ]);
  const mean = (pass: string) => {
    const ratios = layers.filter((layer) => layer.pass === pass).map(({ speedup }) => Math.log(speedup));
    return Math.exp(ratios.reduce((sum, x) => sum + x, 0) / ratios.length);
  };
  return [
    `One LoRA layer, ${tokens} tokens, r = ${r}; medians of ${rounds} in turns`,
    alignColumns([['in → out', 'fused', 'separate', 'separate/fused', 'no adapter', 'fused/no adapter'], ...rows]),
    `Fused is ${times(mean('forward'))} as fast forward and ${times(mean('backward'))} backward (geometric means).`,
    '',
    `One training step of an encoder with ${step.layers} layers, ${step.sequences} sequences of ${step.length} tokens`,
    alignColumns([
      ['', 'time', 'tokens/s'],
      ...(['fused', 'separate'] as const).map((side) => [
        side,
        milliseconds(step[side]),
        Math.round((step.sequences * step.length) / step[side]).toLocaleString('en-US'),
      ]),
    ]),
    `Fused is ${times(step.speedup)} as fast.`,
    '',
  ].join('\n');
}
