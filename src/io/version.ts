/**
 * The version of this package, as files and reports name it.
 * It is read from package.json by json.ts.
 */
import * as path from 'node:path';
import { readJsonObject } from './json';

/**
 * The version in package.json, which lies above src/ as above
 * dist/; `unknown` where the code was moved into another package.
 */
export function version(): string {
  try {
    const file = path.resolve(__dirname, '../../package.json');
    const { name, version } = readJsonObject(file, 'to tell the version', 'INTERNAL');
    return name === 'fused-lora' ? String(version) : 'unknown';
  } catch {
    return 'unknown';
  }
}
