/**
 * Where the hub is and how it is used: options first, then
 * the environment variables of Python's huggingface_hub.
 * Who uses them: client.ts.
 */
import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';

/** How the Hugging Face hub is reached, and where downloads are kept. */
export interface HubOptions {
  /**
   * Access token, for what is private or gated; '' sends none. Default: HF_TOKEN, else what `hf
   * auth login` wrote (HF_TOKEN_PATH, HF_HOME/token). What a file names, such as an adapter's base
   * model, is asked for without any.
   */
  token?: string;
  /**
   * Folder of downloads, shared with Python. Default:
   * HF_HUB_CACHE, else HF_HOME/hub, else ~/.cache/huggingface/hub.
   */
  cacheDir?: string;
  /** Use what was downloaded before and never the network. Default: whether FUSED_LORA_OFFLINE or
   * HF_HUB_OFFLINE is 1. */
  offline?: boolean;
}

export const HUB_KEYS: Record<keyof HubOptions, true> = { token: true, cacheDir: true, offline: true };

export interface HubSettings {
  /** Without a slash at its end. */
  endpoint: string;
  token: string | undefined;
  cacheDir: string;
  offline: boolean;
  signal: AbortSignal | undefined;
  onNotice: (line: string) => void;
  /** The file that names what is asked for, where it was not the user. */
  namedBy: string | undefined;
}

const isTrue = (text: string | undefined) => /^(1|on|yes|true)$/i.test(text ?? '');

const home = () =>
  process.env['HF_HOME'] ??
  path.join(process.env['XDG_CACHE_HOME'] ?? path.join(os.homedir(), '.cache'), 'huggingface');

function savedToken(): string | undefined {
  try {
    return fs.readFileSync(process.env['HF_TOKEN_PATH'] ?? path.join(home(), 'token'), 'utf8').trim() || undefined;
  } catch {
    return undefined;
  }
}

export function hubSettings(
  options: HubOptions & {
    signal?: AbortSignal | undefined;
    onNotice?: ((line: string) => void) | undefined;
    namedBy?: string | undefined;
  },
): HubSettings {
  const { HF_ENDPOINT, HF_TOKEN, HUGGING_FACE_HUB_TOKEN, HF_HUB_CACHE, HUGGINGFACE_HUB_CACHE } = process.env;
  const { FUSED_LORA_OFFLINE, HF_HUB_OFFLINE, TRANSFORMERS_OFFLINE } = process.env;
  return {
    endpoint: (HF_ENDPOINT || 'https://huggingface.co').replace(/\/+$/, ''),
    token: (options.token ?? (HF_TOKEN || HUGGING_FACE_HUB_TOKEN || savedToken())) || undefined,
    cacheDir: options.cacheDir ?? HF_HUB_CACHE ?? HUGGINGFACE_HUB_CACHE ?? path.join(home(), 'hub'),
    offline: options.offline ?? [FUSED_LORA_OFFLINE, HF_HUB_OFFLINE, TRANSFORMERS_OFFLINE].some(isTrue),
    signal: options.signal,
    onNotice: options.onNotice ?? (() => {}),
    namedBy: options.namedBy,
  };
}
