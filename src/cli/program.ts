/**
 * The command line as a whole: `fused-lora <command>`; one file a command.
 * How a command runs, and what it exits with, is in run.ts.
 */
import { Command } from 'commander';
import { VERSION } from '../base/version';
import { adaptersCommand } from './adapters';
import { benchCommand } from './bench';
import { calibrateCommand } from './calibrate';
import { embedCommand } from './embed';
import { evalCommand } from './eval';
import { infoCommand } from './info';
import { intrinsicDimCommand } from './intrinsic_dim';
import { mergeCommand } from './merge';
import { planCommand } from './plan';
import { predictCommand } from './predict';
import { pretrainCommand } from './pretrain';
import { reportCommand } from './report';
import { EXIT_HELP } from './run';
import { serveCommand } from './serve';
import { trainCommand } from './train';
import { tuneCommand } from './tune';

export function makeProgram(): Command {
  return new Command('fused-lora')
    .description('Fine-tune RoBERTa-family encoders with LoRA.')
    .version(VERSION, '-V, --version', 'show the version')
    .helpOption('-h, --help', 'show this help')
    .showSuggestionAfterError()
    .addHelpText(
      'after',
      `
Start with:
  $ fused-lora plan  --model roberta-base/ --train train.tsv
  $ fused-lora train --model roberta-base/ --train train.tsv --dev dev.tsv --output my-adapter/
  $ fused-lora predict --adapter my-adapter/ "what a lovely film"

${EXIT_HELP}`,
    )
    .commandsGroup('Training:')
    .addCommand(planCommand())
    .addCommand(trainCommand())
    .addCommand(tuneCommand())
    .addCommand(intrinsicDimCommand())
    .addCommand(pretrainCommand())
    .addCommand(reportCommand())
    .commandsGroup('Using a model:')
    .addCommand(predictCommand())
    .addCommand(evalCommand())
    .addCommand(calibrateCommand())
    .addCommand(serveCommand())
    .addCommand(embedCommand())
    .addCommand(mergeCommand())
    .addCommand(adaptersCommand())
    .commandsGroup('This installation:')
    .addCommand(infoCommand())
    .addCommand(benchCommand())
    .addHelpCommand(
      new Command('help')
        .argument('[command]')
        .description('show the help of a command')
        .helpGroup('This installation:'),
    );
}
