/**
 * The random models as ONNX, made once, in .cache/bench, by peers/export_onnx.py.
 * The models themselves: models.ts.
 */
import { execFileSync } from 'node:child_process';
import * as fs from 'node:fs';
import * as path from 'node:path';
import { cacheFolder } from './folders';
import { type ModelName, modelFolder } from './models';
import { isMissing, type Missing } from './result';
import { peersFolder, peersPython } from './torch_blas';

/** Folder with onnx/model.onnx, for the Node peers. */
export function onnxFolder(name: ModelName): string | Missing {
  const folder = path.join(cacheFolder, 'onnx', name);
  if (fs.existsSync(folder)) return folder;
  const python = peersPython();
  if (isMissing(python)) return { missing: `no ONNX export: ${python.missing}` };
  process.stderr.write(`exporting ${name} to ONNX …\n`);
  const unfinished = `${folder}.unfinished`;
  fs.rmSync(unfinished, { recursive: true, force: true });
  execFileSync(python, [path.join(peersFolder, 'export_onnx.py'), modelFolder(name), unfinished], { stdio: 'pipe' });
  fs.renameSync(unfinished, folder);
  return folder;
}
