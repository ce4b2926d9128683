/**
 * The entry that Jazzer.js calls; FUSED_LORA_FUZZ_TARGET names one of targets.ts.
 * Bundled and run by scripts/fuzz.mjs.
 */
import { runTarget } from './targets';

export const fuzz = (bytes: Buffer): Promise<void> => runTarget(process.env['FUSED_LORA_FUZZ_TARGET'] as string, bytes);
