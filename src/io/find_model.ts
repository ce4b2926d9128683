/**
 * Where a model is: a folder here, or a name on the Hugging Face hub, which is downloaded.
 * What is in the folder is opened by model_folder.ts; downloads themselves are in src/io/hub.
 */
import * as fs from 'node:fs';
import * as path from 'node:path';
import { FusedLoraError } from '../base/errors';
import { shown } from '../base/shown';
import { type FetchModelOptions, fetchModel, hubModelOf, hubSettings, isHubUrl } from './hub';
import { readJsonObject } from './json';
import { ADAPTER_CONFIG, CONFIG, OTHER_WEIGHTS, WEIGHTS, WEIGHTS_INDEX } from './model_files';

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
  if (!onHub) return { folder: model, name: pathName(model), revision: undefined };
  const revision = onHub.revision ?? options.revision;
  const folder = await fetchModel(onHub.name, { ...options, revision }).catch((cause: unknown) => {
    throw isHubUrl(model) ? cause : withoutFolder(model, cause);
  });
  return { folder, name: onHub.name, revision };
}

/** What the hub said, and why it was asked: whoever meant a folder has to know it is not there. */
function withoutFolder(model: string, cause: unknown): unknown {
  if (!(cause instanceof FusedLoraError) || !['DOWNLOAD_FAILED', 'FILE_NOT_FOUND'].includes(cause.code)) return cause;
  return new FusedLoraError(cause.code, `${model} is no folder here, so the hub was asked for it: ${cause.message}`, {
    cause,
  });
}

/**
 * A folder as an adapter should name it: `models/base` would be read as the name of a repository,
 * and `models\base` means that folder on Windows alone.
 */
function pathName(folder: string): string {
  if (path.isAbsolute(folder) || !fs.existsSync(folder)) return folder;
  const name = folder.split(path.sep).join('/');
  return name.startsWith('.') ? name : `./${name}`;
}

export const isAdapter = (dir: string) => fs.existsSync(path.join(dir, ADAPTER_CONFIG));

/**
 * Folders that a relative path may mean: seen from the adapter, from the folders that hold it, the
 * nearest first, and last from here: a folder of the same name that happens to be here is another
 * model.
 */
function candidates(name: string, adapter: string): string[] {
  if (path.isAbsolute(name)) return [name];
  const found: string[] = [];
  for (let folder = path.resolve(adapter); ; folder = path.dirname(folder)) {
    found.push(path.join(folder, name));
    if (folder === path.dirname(folder)) return [...found, name];
  }
}

const isModel = (dir: string) => fs.existsSync(path.join(dir, CONFIG));

/** A base model as a file of an adapter's folder names it. */
export interface NamedBase {
  file: string;
  field: string;
  name: unknown;
  revision?: unknown;
}

function namedByConfig(adapter: string): NamedBase {
  const file = path.join(adapter, ADAPTER_CONFIG);
  const config = readJsonObject(file, 'to find the base model', 'INVALID_CONFIG', { inFolder: true });
  const { base_model_name_or_path: name, revision } = config;
  return { file, field: 'base_model_name_or_path', name, revision };
}

/**
 * The model that an adapter says it was trained on: a folder seen from the adapter's folder or one
 * that holds it, or from here; else a repository of the hub, where it is the name of one. A folder
 * that is not the one that the name means here and from the adapter alike is told, and so is what
 * is asked of the hub: without the user's token, for it was not the user who named it.
 *
 * @param options `requireBaseModel: true` follows no name of a file.
 * @param named by another file than adapter_config.json.
 */
export async function findBaseModel(
  adapter: string,
  options: FetchModelOptions & { requireBaseModel?: boolean | undefined },
  named: NamedBase = namedByConfig(adapter),
): Promise<FoundModel> {
  const { file, field, name, revision } = named;
  if (options.requireBaseModel === true) {
    throw new FusedLoraError(
      'INVALID_ARGUMENT',
      `${file}: names the base model ${shown(name)}, which is not followed (requireBaseModel, --require-model). If you trust it, name it yourself ` +
        '(--model DIR with --adapter, baseModel in code).',
    );
  }
  if (typeof name === 'string' && name !== '') {
    const folder = isHubUrl(name) ? undefined : candidates(name, adapter).find(isModel);
    if (folder !== undefined) {
      const asGiven = path.resolve(folder) === path.resolve(name);
      if (!asGiven) options.onNotice?.(`base model of ${adapter}: ${folder}`);
      else if (folder === name && !path.isAbsolute(name))
        options.onNotice?.(`base model of ${adapter}: ${name} in the current folder; none lies with the adapter`);
      // A relative name holds from the adapter's folder, not from that of whoever saves it again.
      return asGiven ? { folder: name, name, revision: undefined } : { folder, name: folder, revision: undefined };
    }
    if (!fs.existsSync(name) && hubModelOf(name)) {
      const { endpoint, offline, cacheDir } = hubSettings(options);
      options.onNotice?.(
        `base model of ${adapter}: ${name}, as its ${path.basename(file)} says, ${offline ? `from ${cacheDir}` : `from ${endpoint}, asked without your token`}`,
      );
      const namedRevision = typeof revision === 'string' ? revision : undefined;
      return findModel(name, { ...options, token: '', namedBy: file, revision: namedRevision });
    }
  }
  const problem =
    typeof name === 'string' && name !== ''
      ? `field "${field}" is "${name}", and neither here nor from the adapter's folder up is there a model folder of that name`
      : `field "${field}" names no model`;
  throw new FusedLoraError(
    'FILE_NOT_FOUND',
    `${file}: ${problem}. Give the folder of the base model (--model DIR with --adapter, baseModel in code).`,
  );
}

/** What is written: an adapter, or a whole model, merged from the two or trained. */
export type OutputKind = 'adapter' | 'model';

/** The folder itself, behind links; of one that is not there its whole path. */
export const realFolder = (dir: string) => (fs.existsSync(dir) ? fs.realpathSync(dir) : path.resolve(dir));

/**
 * Refuses to write over what a result is made of: its values are read as they are needed, other
 * adapters need the base as it is, and a merged model in its place would get the adapter twice.
 * Refuses also to write an adapter beside a whole model or the reverse: who opens the folder would
 * take the one for the other.
 *
 * @param from folders, or names on the hub.
 * @throws FusedLoraError INVALID_ARGUMENT.
 */
export function checkOutput(
  output: string,
  kind: OutputKind,
  from: { baseModel?: string | undefined; adapter?: string | undefined },
): void {
  const holds = (name: string) => fs.existsSync(path.join(output, name));
  const fail = (problem: string) =>
    new FusedLoraError('INVALID_ARGUMENT', `${output} ${problem}. Give another folder to write to.`);
  for (const [what, folder] of [
    ['base model', from.baseModel],
    ['adapter', from.adapter],
  ] as const) {
    if (folder === undefined || !fs.existsSync(folder) || realFolder(output) !== realFolder(folder)) continue;
    throw fail(`is the folder of the ${what} ${folder}, which is read from there and has to stay as it is`);
  }
  if (kind === 'model' && isAdapter(output)) {
    throw fail(`holds an adapter (${ADAPTER_CONFIG}), which whoever opens the folder would take for the model's`);
  }
  if (kind === 'adapter' && isModel(output) && [WEIGHTS, WEIGHTS_INDEX, ...OTHER_WEIGHTS].some(holds)) {
    throw fail(`holds a whole model (${CONFIG}), and whoever opens the folder would find the adapter in its place`);
  }
}
