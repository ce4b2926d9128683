/**
 * Tokens that files beside the vocabulary add: tokenizer_config.json (added_tokens_decoder, names
 * of special tokens), and before it added_tokens.json and special_tokens_map.json. In transformers'
 * order; added_tokens.ts gives them their ids.
 */
import type { FusedLoraError } from '../../base/errors';
import { type GivenToken, readAddedToken } from './added_tokens';
import { Refused, short } from './refused';
import { checkedId } from './vocabulary';

const NAMES = ['bos_token', 'eos_token', 'unk_token', 'sep_token', 'pad_token', 'cls_token', 'mask_token'];

/**
 * @param config tokenizer_config.json, with special_tokens_map.json where that counts.
 * @param older added_tokens.json.
 */
export function folderTokens(
  config: Record<string, unknown>,
  older: Record<string, unknown> | undefined,
  invalid: (file: string, problem: string) => FusedLoraError,
): GivenToken[][] {
  const named = NAMES.map((name) => config[name]).filter((token) => token !== undefined && token !== null);
  const listed = [config['additional_special_tokens'], config['extra_special_tokens']].flatMap((list) =>
    Array.isArray(list) ? list : typeof list === 'object' && list !== null ? Object.values(list) : [],
  );
  const specials = new Set([...named, ...listed].map(contentOf));
  const decoder = config['added_tokens_decoder'];
  const file = decoder === undefined ? 'added_tokens.json' : 'tokenizer_config.json';
  try {
    const withIds =
      decoder === undefined
        ? Object.entries(older ?? {}).map(([content, id]) => olderToken(content, id, specials.has(content)))
        : entriesOf(decoder).map(([id, token]) => decoderToken(id, token, specials));
    const present = new Set(withIds.map(({ content }) => content));
    const withoutIds = [...named, ...listed].flatMap((token): GivenToken[] => {
      const content = contentOf(token);
      if (content === undefined || present.has(content)) return [];
      present.add(content);
      return [namedToken(content, token)];
    });
    return [withIds.sort((a, b) => (a.id as number) - (b.id as number)), withoutIds];
  } catch (cause) {
    if (cause instanceof Refused)
      throw invalid(file, `can not be used (${cause.message}). Use the tokenizer files that belong to the model`);
    throw cause;
  }
}

function contentOf(token: unknown): string | undefined {
  const content = typeof token === 'object' && token !== null ? (token as { content?: unknown }).content : token;
  return typeof content === 'string' ? content : undefined;
}

function entriesOf(decoder: unknown): [string, unknown][] {
  if (typeof decoder === 'object' && decoder !== null && !Array.isArray(decoder)) return Object.entries(decoder);
  throw new Refused(`added_tokens_decoder is ${short(decoder)}; expected tokens by id`);
}

function decoderToken(id: string, token: unknown, specials: ReadonlySet<string | undefined>): GivenToken {
  const where = `added_tokens_decoder["${id}"]`;
  const fields = { ...(token as Record<string, unknown> | null), id: /^\d+$/.test(id) ? Number(id) : id };
  const read = readAddedToken(fields, where);
  return { ...read, special: read.special || specials.has(read.content) };
}

function olderToken(content: string, id: unknown, special: boolean): GivenToken {
  return {
    ...plain(content, special),
    id: checkedId(id, content, (problem) => new Refused(problem)),
    where: 'added_tokens.json',
  };
}

/** A token that is only named: special, and not normalized unless it says so. */
function namedToken(content: string, token: unknown): GivenToken {
  const flags =
    typeof token === 'object' ? readAddedToken({ ...token, special: true, id: 0 }, content) : plain(content, true);
  return { ...flags, id: undefined, where: `the special token ${JSON.stringify(content)}` };
}

function plain(content: string, special: boolean): Omit<GivenToken, 'id' | 'where'> {
  return { content, singleWord: false, lstrip: false, rstrip: false, normalized: !special, special };
}
