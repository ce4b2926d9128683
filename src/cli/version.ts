import * as path from 'node:path';
import { readJsonObject } from '../io/json';

/** The version in package.json, which lies above src/ as above dist/. */
export function version(): string {
  const file = path.resolve(__dirname, '../../package.json');
  return String(readJsonObject(file, 'to tell the version', 'INTERNAL')['version']);
}
