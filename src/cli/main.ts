#!/usr/bin/env node
/** The command line: `fused-lora <command>`; one file a command. */
import { Command } from 'commander';
import { version } from '../io/version';
import { evalCommand } from './eval';
import { infoCommand } from './info';
import { mergeCommand } from './merge';
import { predictCommand } from './predict';
import { pretrainCommand } from './pretrain';
import { runProgram } from './run';
import { trainCommand } from './train';

const program = new Command('fused-lora')
  .description('Fine-tune RoBERTa-family encoders with LoRA.')
  .version(version())
  .showSuggestionAfterError()
  .addHelpText('after', '\nExit codes: 0 done, 1 error of use or data, 130 stopped by Ctrl-C after a checkpoint.')
  .addCommand(trainCommand())
  .addCommand(evalCommand())
  .addCommand(predictCommand())
  .addCommand(mergeCommand())
  .addCommand(pretrainCommand())
  .addCommand(infoCommand());

void runProgram(program, process.argv.slice(2));
