/**
 * `fused-lora adapters`: a folder of adapters kept by content, with checksums of each and of its
 * base. What is written there, and checked when one is opened, is src/task/adapter_store.ts.
 */
import { Command } from 'commander';
import { FusedLoraError } from '../base/errors';
import { nearNames } from '../base/near';
import { compact } from '../base/options';
import { findModel } from '../io/find_model';
import {
  changesOf,
  checkKept,
  findKept,
  findOwnBase,
  type KeptAdapter,
  keepAdapter,
  listKept,
  removeKept,
} from '../task/adapter_store';
import { showFigures } from './figures';
import { addExamples, type OutputOptions } from './options';
import { action, type CommandContext } from './run';
import { addOutputOptions, addRows, rowsOf } from './table_options';
import { alignColumns, megabytes } from './text';

interface AdaptersOptions extends OutputOptions {
  store: string;
  name?: string;
  model?: string;
  offline?: boolean;
}

type Job = (context: CommandContext, adapters: string[], options: AdaptersOptions) => Promise<[object, string]>;

const hubOf = ({ offline }: AdaptersOptions, { signal, say: onNotice }: CommandContext) =>
  compact({ offline, signal, onNotice });

function table(all: readonly KeptAdapter[]): string {
  const rows = all.map(({ name, id, bytes, base }) => [name, id, megabytes(bytes), base.name]);
  return `${alignColumns([['name', 'id', 'size', 'base'], ...rows])}\n`;
}

const list: Job = async (_, adapters, { store }) => {
  const found = adapters.length > 0 ? adapters.map((one) => findKept(store, one)) : listKept(store);
  return [{ adapters: found }, found.length > 0 ? table(found) : `${store}: no adapters\n`];
};

const add: Job = async (context, adapters, options) => {
  const { store, name, model } = options;
  if (name !== undefined && adapters.length > 1) {
    throw new FusedLoraError('INVALID_ARGUMENT', `--name is for one adapter, and ${adapters.length} are given`);
  }
  const added: KeptAdapter[] = [];
  const lines: string[] = [];
  for (const adapter of adapters) {
    const { kept, existed } = await keepAdapter(store, adapter, compact({ ...hubOf(options, context), name, model }));
    added.push(kept);
    lines.push(`${kept.name} (${kept.id})${existed ? ' was there' : ''}: ${kept.folder}, on ${kept.base.name}\n`);
  }
  return [{ adapters: added }, lines.join('')];
};

const remove: Job = async (_, adapters, { store }) => {
  const found = adapters.map((one) => findKept(store, one));
  for (const one of found) removeKept(one);
  return [{ adapters: found }, found.map(({ name, id }) => `${name} (${id}) removed\n`).join('')];
};

/** All are looked at before the first problem is an error. */
const verify: Job = async (context, adapters, options) => {
  const { store, model } = options;
  const found = adapters.length > 0 ? adapters.map((one) => findKept(store, one)) : listKept(store);
  const problems: string[] = [];
  for (const kept of found) {
    const changed = changesOf(kept);
    problems.push(...changed);
    if (changed.length > 0) continue;
    const hub = hubOf(options, context);
    const base = await (model === undefined ? findOwnBase(kept.folder, hub) : findModel(model, hub));
    try {
      checkKept(kept.folder, base.folder, { whole: true });
    } catch (error) {
      if (!(error instanceof FusedLoraError)) throw error;
      problems.push(error.message);
    }
  }
  if (problems.length > 0) throw new FusedLoraError('INVALID_CHECKPOINT', problems.join('\n'));
  return [
    { adapters: found },
    `${found.length} ${found.length === 1 ? 'adapter is' : 'adapters are'} as added, and the bases too\n`,
  ];
};

const JOBS: Readonly<Record<string, Job>> = { list, add, remove, verify };
const NEEDS_NAMES = ['add', 'remove'];

export function adaptersCommand(): Command {
  const command = new Command('adapters')
    .description('keep adapters in a folder by content, with checksums of each and of its base model')
    .argument('<action>', 'list, add, remove or verify')
    .argument(
      '[adapters...]',
      'for add: folders of adapters, or names on the hub; else names or ids of kept ones (default: all)',
    )
    .optionsGroup('Store:')
    .option('--store <dir>', 'the folder that they are kept in', 'adapters')
    .option('--name <name>', "add: the name that it is kept by (default: its folder's)")
    .option('--model <dir|name>', 'add, verify: the base model (default: the one that the adapter names)');
  addOutputOptions(addRows(command, rowsOf(['offline'])));
  addExamples(command, [
    'fused-lora adapters add my-adapter/ --name intent',
    'fused-lora adapters list',
    'fused-lora adapters verify --json',
    'fused-lora adapters remove intent',
  ]);
  return command.action(
    action(async (context, what: string, adapters: string[], options: AdaptersOptions) => {
      const word = what.toLowerCase();
      if (!Object.hasOwn(JOBS, word)) {
        const [near] = nearNames(word, Object.keys(JOBS), 1);
        throw new FusedLoraError(
          'INVALID_ARGUMENT',
          `adapters: "${what}" is no action${near ? ` (was ${near} meant?)` : ''}; it must be ${Object.keys(JOBS).join(', ')}`,
        );
      }
      if (NEEDS_NAMES.includes(word) && adapters.length === 0) {
        throw new FusedLoraError(
          'INVALID_ARGUMENT',
          `adapters ${word}: which? Give ${word === 'add' ? 'folders' : 'names or ids'}.`,
        );
      }
      const [figures, text] = await (JOBS[word] as Job)(context, adapters, options);
      showFigures(options.json, { command: 'adapters', action: word, store: options.store, ...figures }, text);
    }),
  );
}
