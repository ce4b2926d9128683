/**
 * The random models as ONNX, made once, in .cache/bench, by peers/export_onnx.py.
 * The models themselves: models.ts.
 */
import { execFileSync } from 'node:child_process';
import * as fs from 'node:fs';
import * as path from 'node:path';
import { native } from '../../src/native';
import { cacheFolder } from './folders';
import { type ModelName, modelFolder } from './models';
import { isMissing, type Missing } from './result';
import { peersFolder, peersPython } from './torch_blas';

/**
 * The same with weights and activations in int8, by onnxruntime's dynamic quantiser as it is used:
 * `quantize_dynamic`, 7-bit weights (`reduce_range`) where the processor lacks VNNI, as its
 * documentation says.
 */
export function onnxInt8Folder(name: ModelName): string | Missing {
  const full = onnxFolder(name);
  if (isMissing(full)) return full;
  const folder = `${full}-int8`;
  if (fs.existsSync(folder)) return folder;
  const unfinished = `${folder}.unfinished`;
  fs.rmSync(unfinished, { recursive: true, force: true });
  const reduce = /vnni|bf16/.test(native().info().isa) ? 'full' : 'reduce';
  const python = peersPython();
  if (isMissing(python)) return { missing: `no int8 ONNX model: ${python.missing}` };
  process.stderr.write(`quantising ${name} by onnxruntime …\n`);
  execFileSync(python, [path.join(peersFolder, 'quantise_onnx.py'), full, unfinished, reduce], { stdio: 'pipe' });
  fs.renameSync(unfinished, folder);
  return folder;
}

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
