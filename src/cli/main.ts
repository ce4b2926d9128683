#!/usr/bin/env node
/**
 * What `fused-lora` runs: the entry of the package's bin.
 * The commands are listed in program.ts; run.ts says how each of them runs.
 */
import { makeProgram } from './program';
import { runProgram } from './run';

void runProgram(makeProgram(), process.argv.slice(2));
