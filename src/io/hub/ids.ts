/**
 * Names on the Hugging Face hub: `owner/name`, hf:// addresses, a path inside a repository.
 * What a name stands for as files on this machine: index.ts of src/io/hub.
 */
import * as fs from 'node:fs';
import { FusedLoraError } from '../../base/errors';

export interface Repository {
  type: 'model' | 'dataset';
  /** `owner/name`, or `name` for the oldest ones. */
  name: string;
}

export interface HubPath {
  repository: Repository;
  /** A branch, tag or commit, where the address has one. */
  revision: string | undefined;
  /** Below the repository; empty: all of it. */
  path: string;
}

const SCHEME = 'hf://';
/** The hub has none that begin with a dash, which would look like an option. */
const NAME = /^(?:\w[\w.-]*\/)?\w[\w.-]*$/;

export const isHubUrl = (text: string) => text.startsWith(SCHEME);

/** For people: `owner/name` of a model, `datasets/owner/name` of a data set. */
export const nameOf = ({ type, name }: Repository) => (type === 'dataset' ? `datasets/${name}` : name);

/**
 * `hf://owner/name@revision/path` of a model,
 * `hf://datasets/owner/name@revision/path` of a data set, as Python's huggingface_hub
 * has them; revision and path may be missing. A slash in a revision is written %2F.
 *
 * @throws FusedLoraError INVALID_ARGUMENT.
 */
export function parseHubUrl(url: string): HubPath {
  const parts = url.slice(SCHEME.length).replace(/\/+$/, '').split('/');
  const type = parts[0] === 'datasets' ? 'dataset' : 'model';
  if (parts[0] === 'datasets' || parts[0] === 'models') parts.shift();
  const [owner = '', last = '', ...path] = parts;
  const [short, revision, ...more] = last.split('@');
  const name = `${owner}/${short}`;
  const isEscaped = revision === undefined || /^(?:[^%]|%[0-7][0-9a-fA-F])+$/.test(revision);
  if (!NAME.test(name) || !isEscaped || more.length > 0 || path.some((part) => part === '' || part === '..')) {
    throw new FusedLoraError(
      'INVALID_ARGUMENT',
      `${url}: is no address on the hub; it must have the form hf://datasets/OWNER/NAME/PATH or hf://datasets/OWNER/NAME@REVISION/PATH (without ` +
        'datasets/ for a model)',
    );
  }
  return {
    repository: { type, name },
    revision: revision === undefined ? undefined : decodeURIComponent(revision),
    path: path.join('/'),
  };
}

/**
 * The model of the hub that a text names: an address, or a name (`roberta-base`, `owner/name`)
 * where there is no such file or folder here.
 *
 * @returns undefined for a path.
 */
export function hubModelOf(text: string): { name: string; revision: string | undefined } | undefined {
  if (isHubUrl(text)) {
    const short = text.slice(SCHEME.length);
    if (!short.includes('/') && NAME.test(short)) return { name: short, revision: undefined };
    const { repository, revision, path } = parseHubUrl(text);
    if (repository.type === 'model' && path === '') return { name: repository.name, revision };
    throw new FusedLoraError('INVALID_ARGUMENT', `${text}: is not a model; it must have the form hf://OWNER/NAME`);
  }
  // A name of a file that is missing is a mistake about files.
  if (!NAME.test(text) || fs.existsSync(text) || /\.(json|bin|safetensors|pt|pth|ckpt|h5)$/i.test(text))
    return undefined;
  return { name: text, revision: undefined };
}
