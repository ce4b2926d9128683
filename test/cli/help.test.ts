/** The help of every command, and that docs/cli.md says the same. */
import * as fs from 'node:fs';
import * as path from 'node:path';
import type { Command } from 'commander';
import { FusedLoraError } from '../../src/base/errors';
import { makeProgram } from '../../src/cli/program';
import { EXIT, EXIT_HELP, exitCodeOf } from '../../src/cli/run';

const DOCS = fs.readFileSync(path.join(__dirname, '..', '..', 'docs', 'cli.md'), 'utf8');
const program = makeProgram();
const commands = program.commands.map((command): [string, Command] => [command.name(), command]);

function helpOf(command: Command): string {
  let text = '';
  command.configureOutput({
    writeOut: (part) => {
      text += part;
    },
  });
  command.outputHelp();
  return text;
}

/**
 * Options with a value that are off unless they are given, so that they have no default to tell.
 */
const OFF = [
  '--max-steps',
  '--warmup-steps',
  '--trainable',
  '--subspace',
  '--rslora',
  '--exclude-modules',
  '--preset',
  '--lr-pattern',
];
OFF.push('--join', '--folds', '--train-sizes', '--test', '--test-split');
OFF.push('--dev', '--text-pair-column', '--adapter', '--file', '--config', '--json');

test('there is every command', () => {
  const names = ['train', 'eval', 'predict', 'merge', 'pretrain', 'plan', 'bench', 'info', 'report', 'adapters'];
  names.push('tune', 'intrinsic-dim', 'calibrate', 'serve', 'embed');
  expect(commands.map(([name]) => name).sort()).toEqual(names.sort());
});

describe.each(commands)('%s', (name, command) => {
  const help = helpOf(command);

  it('has its options in named groups, the general ones last', () => {
    const headings = [...help.matchAll(/^([A-Z][\w ,]*):$/gm)].map(([, heading]) => heading);
    expect(headings).not.toContain('Options');
    expect(headings.slice(-2)).toEqual(['General', 'Examples']);
  });

  it('ends with examples that its options allow', () => {
    const examples = help
      .slice(help.indexOf('Examples:'))
      .split('\n')
      .slice(1)
      .filter((line) => line !== '');
    expect(examples.length).toBeGreaterThan(0);
    for (const example of examples) {
      expect(example).toContain(`fused-lora ${name}`);
      for (const [flag] of example.matchAll(/--[a-z-]+/g)) {
        expect([flag, command.options.some(({ long }) => long === flag)]).toEqual([flag, true]);
      }
    }
  });

  it('tells the default of every option that has one', () => {
    for (const option of command.options) {
      if (option.isBoolean() || option.negate || OFF.includes(option.long ?? '')) continue;
      const told = option.defaultValue !== undefined || /\(default|\(required\b|\(default\)/.test(option.description);
      expect([option.flags, told]).toEqual([option.flags, true]);
    }
  });

  it('is in docs/cli.md', () => expect(DOCS).toContain(`### fused-lora ${name}\n`));
});

test('exit codes are the same in code, help and docs', () => {
  const inHelp = [...EXIT_HELP.matchAll(/^ {2}(\d+) /gm)].map(([, code]) => Number(code));
  expect([...inHelp, EXIT.terminated].sort((a, b) => a - b)).toEqual(Object.values(EXIT).sort((a, b) => a - b));
  for (const code of Object.values(EXIT)) expect(DOCS).toMatch(new RegExp(`^\\| ${code} \\|`, 'm'));
});

test('errors end in the code of their kind', () => {
  const code = (name: ConstructorParameters<typeof FusedLoraError>[0]) => exitCodeOf(new FusedLoraError(name, ''));
  expect(code('INVALID_DATA')).toBe(1);
  expect(code('OUT_OF_MEMORY')).toBe(2);
  expect(code('DEVICE_UNAVAILABLE')).toBe(2);
  expect(code('NON_FINITE_LOSS')).toBe(3);
  expect(code('INTERNAL')).toBe(70);
  expect(exitCodeOf(new TypeError('x is not a function'))).toBe(70);
  expect(exitCodeOf(Object.assign(new Error('no space'), { code: 'ENOSPC' }))).toBe(1);
});
