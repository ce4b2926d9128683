/**
 * Added tokens: contents that stand for one id wherever they are found in a text, with flags for
 * what is around them. They come from tokenizer.json and from the files beside it
 * (folder_tokens.ts), which may add to them.
 */
import type { Normalizer } from './normalizers';
import { asLiteral } from './pattern_class';
import { field, Refused } from './refused';
import { asOlderUnicode, WHITE_SPACE, WORD } from './unicode_classes';
import { checkedId, refusedAt, type TokenModel } from './vocabulary';

export interface AddedToken {
  content: string;
  /** Found only where no letter, digit or mark stands beside it. */
  singleWord: boolean;
  /** Takes the white space on its left with it. */
  lstrip: boolean;
  rstrip: boolean;
  /** Found in the normalized text, by its normalized content. */
  normalized: boolean;
  /** Stands for no text. */
  special: boolean;
}

/** An added token with the id that its file gives it. */
export interface GivenToken extends AddedToken {
  /** Undefined where the file only names the token: the next free id. */
  id: number | undefined;
  /** The place in the files, for errors. */
  where: string;
}

/** `added_tokens` of tokenizer.json, or entries of the same form elsewhere. */
export function readAddedToken(value: unknown, where: string): GivenToken {
  const part = { fields: (value ?? {}) as Record<string, unknown>, where };
  const content = field(part, 'content', 'string');
  const special = field(part, 'special', 'boolean', false);
  return {
    content,
    id: checkedId(part.fields['id'], content, refusedAt(where)),
    singleWord: field(part, 'single_word', 'boolean', false),
    lstrip: field(part, 'lstrip', 'boolean', false),
    rstrip: field(part, 'rstrip', 'boolean', false),
    normalized: field(part, 'normalized', 'boolean', !special),
    special,
    where,
  };
}

const ENDS_WITH_WORD = new RegExp(`[${WORD}]$`, 'v');
const STARTS_WITH_WORD = new RegExp(`^[${WORD}]`, 'v');
const STARTS_WITH_SPACE = new RegExp(`^[${WHITE_SPACE}]+`, 'v');
const SPACE = new RegExp(`[${WHITE_SPACE}]`, 'v');

/** A part of a text: an added token (`id`) or what is between them. */
export interface Section {
  start: number;
  end: number;
  id?: number;
}

/** Added tokens with the ids that Python gives them, and where they are in texts. */
export class AddedTokens {
  readonly byId: ReadonlyMap<number, AddedToken>;
  /** Content → id. */
  readonly ids: ReadonlyMap<string, number>;
  private readonly raw: Finder;
  private readonly normalized: Finder;

  /**
   * @param lists what is added one after another; a later token takes the place of an earlier one
   * with the same content.
   * @param asText whether special tokens are read as any text (`split_special_tokens`).
   * @throws Refused for a token whose id is not the one that Python's tokenizers would give it.
   */
  constructor(lists: readonly GivenToken[][], model: TokenModel, normalizer: Normalizer | undefined, asText: boolean) {
    const ids = new Map<string, number>();
    const byId = new Map<number, AddedToken>();
    for (const tokens of lists) {
      const size = model.size ?? model.vocabulary.size;
      const largest = [...byId.keys()].reduce((most, id) => Math.max(most, id), -1);
      let next = largest >= size ? largest + 1 : size;
      for (const token of tokens) {
        // One that is only named has the flags that it has already.
        if (token.content === '' || (token.id === undefined && ids.has(token.content))) continue;
        const id = ids.get(token.content) ?? model.vocabulary.get(token.content) ?? next++;
        if (token.id !== undefined && id !== token.id) {
          throw new Refused(
            `${token.where}: the added token ${JSON.stringify(token.content)} has the id ${token.id}, and Python's tokenizers gives it ${id}, ` +
              `the next after the ${size} entries of the vocabulary and the tokens before it`,
          );
        }
        ids.set(token.content, id);
        byId.set(id, token);
      }
    }
    this.ids = ids;
    this.byId = byId;
    const finder = (normalized: boolean) =>
      new Finder(
        [...byId]
          .filter(([, token]) => token.normalized === normalized && !(asText && token.special))
          .map(([id, token]) => ({
            id,
            token,
            content: normalized && normalizer ? normalizer(token.content) : token.content,
          })),
      );
    this.raw = finder(false);
    this.normalized = finder(true);
  }

  /** Sections of a text as it is given. */
  inText(text: string): Section[] {
    return this.raw.sections(text);
  }

  /** Sections of a normalized text. */
  inNormalized(text: string): Section[] {
    return this.normalized.sections(text);
  }
}

interface Entry {
  id: number;
  token: AddedToken;
  /** What is looked for. */
  content: string;
}

/** Finds contents in a text: the leftmost, and of those the longest. */
class Finder {
  private readonly entries = new Map<string, Entry>();
  /** All contents, the longest first. */
  private readonly regex: RegExp | undefined;

  constructor(entries: Entry[]) {
    for (const entry of entries) {
      const { content, token } = entry;
      const same = this.entries.get(content);
      if (content === '')
        throw new Refused(`the added token ${JSON.stringify(token.content)} is empty once it is normalized`);
      if (same) {
        throw new Refused(
          `the added tokens ${JSON.stringify(same.token.content)} and ${JSON.stringify(token.content)} are both "${content}" once normalized`,
        );
      }
      this.entries.set(content, entry);
    }
    if (entries.length === 0) return;
    const contents = [...this.entries.keys()].sort((a, b) => b.length - a.length).map(asLiteral);
    // What a content can begin with, so that most places are passed at once.
    const beginnings = [...this.entries.keys()].map((content) => asLiteral([...content][0] as string)).join('');
    this.regex = new RegExp(`(?=[${beginnings}])(?:${contents.join('|')})`, 'gv');
  }

  sections(text: string): Section[] {
    const sections: Section[] = [];
    let last = 0;
    for (const match of this.regex ? text.matchAll(this.regex) : []) {
      const { id, token } = this.entries.get(match[0]) as Entry;
      let start = match.index;
      let end = start + match[0].length;
      if (token.singleWord && !isAlone(text, start, end)) continue;
      if (token.lstrip) {
        while (start > last && SPACE.test(text[start - 1] as string)) start--;
      }
      if (token.rstrip) end += STARTS_WITH_SPACE.exec(text.slice(end))?.[0].length ?? 0;
      if (start > last) sections.push({ start: last, end: start });
      sections.push({ start, end, id });
      last = end;
    }
    if (last < text.length) sections.push({ start: last, end: text.length });
    return sections;
  }
}

function isAlone(text: string, start: number, end: number): boolean {
  // A character may be two units; what is further away does not count.
  const before = asOlderUnicode(text.slice(Math.max(0, start - 2), start));
  const after = asOlderUnicode(text.slice(end, end + 2));
  return !ENDS_WITH_WORD.test(before) && !STARTS_WITH_WORD.test(after);
}
