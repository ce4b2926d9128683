#!/usr/bin/env node
/** What `fused-lora` runs. */
import { makeProgram } from './program';
import { runProgram } from './run';

void runProgram(makeProgram(), process.argv.slice(2));
