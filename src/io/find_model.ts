/**
 * Where a model is: a folder here, or a name on the Hugging Face hub, which is downloaded.
 * What is in the folder is opened by model_folder.ts; downloads themselves are in src/io/hub.
 */
import * as fs from 'node:fs';
import * as path from 'node:path';
import { FusedLoraError } from '../base/errors';
import { type FetchModelOptions, fetchModel, hubModelOf } from './hub';
import { readJsonObject } from './json';
import { ADAPTER_CONFIG } from './model_files';

export interface FoundModel {
  folder: string;
  /**
   * What was given, or what an adapter should name as its base model: the name on the hub rather
   * than a folder of the cache.
   */
  name: string;
  /** Of the hub, where it was asked for. */
  revision: string | undefined;
}

/**
 * The folder of a model, adapter or tokenizer.
 *
 * @param model a folder, or a name on the hub (`roberta-base`, `owner/name`,
 * `hf://owner/name@revision`) where there is no such folder.
 * @throws FusedLoraError what `fetchModel` throws. A path that is no folder is returned as it is,
 * for whoever reads it to tell.
 */
export async function findModel(model: string, options: FetchModelOptions = {}): Promise<FoundModel> {
  const onHub = hubModelOf(model);
  if (!onHub) return { folder: model, name: model, revision: undefined };
  const revision = onHub.revision ?? options.revision;
  const folder = await fetchModel(onHub.name, { ...options, revision });
  return { folder, name: onHub.name, revision };
}

export const isAdapter = (dir: string) => fs.existsSync(path.join(dir, ADAPTER_CONFIG));

/**
 * The model that an adapter says it was trained on: as it stands, beside the adapter, or on the
 * hub.
 */
export async function findBaseModel(adapter: string, options: FetchModelOptions): Promise<FoundModel> {
  const config = readJsonObject(path.join(adapter, ADAPTER_CONFIG), 'to find the base model', 'INVALID_CONFIG');
  const { base_model_name_or_path: name, revision } = config;
  if (typeof name === 'string') {
    const folder = [name, path.resolve(adapter, name)].find((dir) => fs.existsSync(dir));
    if (folder !== undefined) return { folder, name, revision: undefined };
    if (hubModelOf(name)) {
      return findModel(name, { ...options, revision: typeof revision === 'string' ? revision : undefined });
    }
  }
  throw new FusedLoraError(
    'FILE_NOT_FOUND',
    `${adapter}: is an adapter of ${typeof name === 'string' ? `"${name}", which is no folder here` : 'a model that it does not name'}. ` +
      'Give the folder of its base model (--model DIR with --adapter, baseModel in code).',
  );
}
