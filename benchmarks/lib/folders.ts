/**
 * Where benchmarks keep things: results, and what is made once.
 * What a result holds is in result.ts; the models that are made are in models.ts.
 */
import * as path from 'node:path';

export const repository = path.resolve(__dirname, '..', '..');
/** Where results go that no --json names; what the report reads. */
export const resultFolder = path.join(repository, 'runs', 'bench');
/** Models, programs and other things that are made once. */
export const cacheFolder = path.join(repository, '.cache', 'bench');
