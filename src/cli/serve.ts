/**
 * `fused-lora serve`: a base model and its adapters over HTTP until SIGTERM or Ctrl-C.
 * The server is src/serve/server.ts; its packages are asked for when the command runs.
 */
import { Command, InvalidArgumentError, Option } from 'commander';
import { FusedLoraError } from '../base/errors';
import { compact } from '../base/options';
import type { BaseWeights, EmbeddingWeights } from '../graph/base_weights';
import type { DeviceOption } from '../graph/device';
import type { PrecisionOption } from '../graph/precision';
import type { CreateServerOptions } from '../serve';
import { DEFAULTS } from '../serve/options';
import { POOLING_MODES, type PoolingMode } from '../task/embed/pooling';
import { addExamples, choice, integer, type OutputOptions } from './options';
import { action } from './run';
import { addGroup, addOutputOptions, addRows, rowsOf } from './table_options';

interface ServeCommandOptions extends Pick<OutputOptions, 'quiet' | 'verbose'> {
  model?: string;
  modelName?: string;
  adapter?: Record<string, string>;
  pooling?: PoolingMode;
  revision?: string;
  offline?: boolean;
  device?: DeviceOption;
  precision?: PrecisionOption;
  baseWeights?: BaseWeights;
  embeddingWeights?: EmbeddingWeights;
  host: string;
  port: number;
  maxBatchTokens: number;
  maxTexts: number;
  maxBytes: number;
  maxCharacters: number;
  maxWaiting: number;
  timeout: number;
  truncate: boolean;
  apiKey?: string;
  adminToken?: string;
  adapterFolder?: string[];
  allowedHost?: string[];
  ui: boolean;
  log: boolean;
}

/** NAME=DIR, collected by name. */
function named(text: string, before: Record<string, string> = {}): Record<string, string> {
  const cut = text.indexOf('=');
  if (cut < 1 || cut === text.length - 1)
    throw new InvalidArgumentError('It must be NAME=DIR, such as mood=my-adapter/.');
  const name = text.slice(0, cut);
  if (Object.hasOwn(before, name)) throw new InvalidArgumentError(`The name ${name} is given twice.`);
  return { ...before, [name]: text.slice(cut + 1) };
}

const collected = (text: string, before: string[] = []) => [...before, text];

/** From the environment rather than the command line, which lists of processes show. */
const secret = (flags: string, help: string, variable: string) => new Option(flags, help).env(variable);

const limit = (flags: string, help: string, value: number) =>
  new Option(flags, help).argParser(integer(1)).default(value);

const LISTEN_REMEDIES: Readonly<Record<string, string>> = {
  EADDRINUSE: 'Another program listens there; choose another --port, or 0 for a free one.',
  EADDRNOTAVAIL: 'This machine has no such address; give one of its own as --host, or 0.0.0.0 for all.',
  EACCES: 'Ports below 1024 need a privilege; choose another --port.',
  ENOTFOUND: 'The name is not known; give an address of this machine as --host.',
};

export function serveCommand(): Command {
  const command = new Command('serve')
    .description(
      'answer over HTTP: adapters of many tasks on one base model, embeddings, in the forms of TEI, vLLM and others',
    )
    .optionsGroup('What is served:')
    .option('--model <dir|name>', "base model: a folder, or a name on the hub (default: the first adapter's)")
    .option('--model-name <name>', 'what clients call the base model (default: the last part of its name)')
    .addOption(new Option('--adapter <name=dir>', 'PEFT adapter under a name; may be given again').argParser(named))
    .addOption(
      choice(
        '--pooling <how>',
        'serve embeddings of a base that is no sentence-transformers folder (default: not)',
        POOLING_MODES,
      ),
    );
  addRows(command, rowsOf(['revision', 'offline']));
  command
    .optionsGroup('Address and access:')
    .option('--host <address>', 'address to listen on; 0.0.0.0 for all', '127.0.0.1')
    .addOption(new Option('--port <n>', 'port; 0 for a free one').argParser(integer(0)).default(8080))
    .addOption(
      secret(
        '--api-key <key>',
        'what clients must send as authorization: Bearer KEY (default: nothing)',
        'FUSED_LORA_API_KEY',
      ),
    )
    .addOption(
      secret(
        '--admin-token <token>',
        'turns on loading and unloading of adapters (default: off)',
        'FUSED_LORA_ADMIN_TOKEN',
      ),
    )
    .addOption(
      new Option(
        '--adapter-folder <dir>',
        'adapters may be loaded from there; may be given again (default: none)',
      ).argParser(collected),
    )
    .addOption(
      new Option(
        '--allowed-host <name>',
        "a name of this server; may be given again (default: on a loopback address this machine's, else all)",
      ).argParser(collected),
    )
    .option('--no-ui', 'leave out the page at /ui')
    .optionsGroup('Limits:')
    .addOption(limit('--max-batch-tokens <n>', 'most tokens a batch', DEFAULTS.maxBatchTokens))
    .addOption(limit('--max-texts <n>', 'most texts a request', DEFAULTS.maxTexts))
    .addOption(limit('--max-bytes <n>', 'most bytes a request', DEFAULTS.maxBytes))
    .addOption(limit('--max-characters <n>', 'most characters a text', DEFAULTS.maxCharacters))
    .addOption(limit('--max-waiting <n>', 'most texts that wait; beyond them answers are 429', DEFAULTS.maxWaiting))
    .addOption(limit('--timeout <ms>', 'a request is given up after that', DEFAULTS.timeoutMs))
    .option('--no-truncate', 'refuse texts that are too long, where a request does not say otherwise');
  addRows(addGroup(command, 'Device'), rowsOf(['baseWeights', 'embeddingWeights']));
  addOutputOptions(command, { figures: false });
  command.option('--no-log', 'no line for each request');
  addExamples(command, [
    'fused-lora serve --adapter mood=my-adapter/',
    'fused-lora serve --model roberta-base --adapter mood=mood/ --adapter spam=owner/spam-adapter --port 9000',
    'FUSED_LORA_API_KEY=… fused-lora serve --model all-MiniLM-L6-v2/ --host 0.0.0.0',
  ]);
  return command.action(
    action(async (context, options: ServeCommandOptions) => {
      const { host, port, log, adapter, timeout, ui, adapterFolder, allowedHost, quiet, verbose, ...others } = options;
      if (port > 65_535) throw new FusedLoraError('INVALID_ARGUMENT', `--port is ${port}; the last one is 65535`);
      const { createServer } = require('../serve') as typeof import('../serve');
      const started = performance.now();
      const server = await createServer({
        ...compact(others),
        ...compact({ adapters: adapter, adapterFolders: adapterFolder, allowedHosts: allowedHost }),
        timeoutMs: timeout,
        page: ui,
        onNotice: context.say,
        logger: log && !quiet ? { level: verbose ? 'debug' : 'info' } : false,
      } as CreateServerOptions);
      const address = await server.listen({ host, port }).catch(async (cause: NodeJS.ErrnoException) => {
        await server.close();
        const { code = 'error' } = cause;
        const remedy = LISTEN_REMEDIES[code] ?? 'Choose another --host or --port.';
        throw new FusedLoraError('INVALID_ARGUMENT', `can not listen at ${host}, port ${port} (${code}). ${remedy}`, {
          cause,
        });
      });
      context.say(
        `ready at ${address} after ${((performance.now() - started) / 1000).toFixed(2)} s; ${ui ? `a page to try it is at ${address}/ui` : 'GET /openapi.json has its routes'}`,
      );
      await new Promise<void>((resolve) => {
        if (context.signal.aborted) resolve();
        context.signal.addEventListener('abort', () => resolve(), { once: true });
      });
      context.say('answering what was accepted');
      await server.close();
    }),
  );
}
