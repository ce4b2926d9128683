/**
 * A text on its way to ids: added tokens, normalizer, pre-tokenizers, model, in Python's order.
 * tokenizer.ts puts special tokens around the result and cuts it.
 */
import type { AddedTokens } from './added_tokens';
import type { Normalizer } from './normalizers';
import type { Piece, PreTokenizer } from './pre_tokenizers';
import { type Component, componentsIn, Refused } from './refused';
import type { TruncationSide } from './truncate';
import type { TokenModel } from './vocabulary';

/** How many tokens of a text are wanted, and from which end. */
export interface Limit {
  tokens: number;
  side: TruncationSide;
}

export class TextPipeline {
  constructor(
    private readonly added: AddedTokens,
    private readonly normalizer: Normalizer | undefined,
    private readonly preTokenizers: readonly PreTokenizer[],
    private readonly model: TokenModel,
  ) {}

  /** Ids of a text; with a limit those of whole words, until there are as many. */
  ids(text: string, limit?: Limit): number[] {
    const pieces = this.pieces(wellFormed(text));
    if (limit === undefined) return pieces.flatMap((piece) => this.idsOf(piece));
    const words: number[][] = [];
    let count = 0;
    for (const piece of limit.side === 'left' ? pieces.reverse() : pieces) {
      if (count >= limit.tokens) break;
      const ids = this.idsOf(piece);
      words.push(ids);
      count += ids.length;
    }
    return (limit.side === 'left' ? words.reverse() : words).flat();
  }

  private idsOf({ text, id }: Piece): number[] {
    return id === undefined ? this.model.tokenize(text) : [id];
  }

  private pieces(text: string): Piece[] {
    let pieces = this.added.inText(text).flatMap(({ start, end, id }): Piece[] => {
      const section = text.slice(start, end);
      if (id !== undefined) return [{ text: section, first: start === 0, id }];
      const normalized = this.normalizer ? this.normalizer(section) : section;
      return this.added.inNormalized(normalized).map((inner) => ({
        text: normalized.slice(inner.start, inner.end),
        first: start === 0 && inner.start === 0,
        ...(inner.id !== undefined && { id: inner.id }),
      }));
    });
    for (const step of this.preTokenizers) {
      pieces = pieces.flatMap((piece) =>
        piece.id === undefined ? step(piece).filter((part) => part.text !== '') : [piece],
      );
    }
    return pieces;
  }
}

/** Half a pair of UTF-16 is no character; UTF-8 has a replacement character in its place. */
function wellFormed(text: string): string {
  return (text as string & { toWellFormed(): string }).toWellFormed();
}

/**
 * Metaspace's `first` asks where a piece starts in the text as it was given. That is known of
 * pieces as they are cut, and not through normalizers, which may drop or double what stands first.
 *
 * @throws Refused for a tokenizer that needs more.
 */
export function checkFirst(normalizer: Component | undefined, preTokenizer: Component | undefined): void {
  const steps = preTokenizer ? flat(preTokenizer, 'pretokenizers', 'pre_tokenizer') : [];
  const at = steps.findIndex(({ type, fields }) => type === 'Metaspace' && fields['prepend_scheme'] === 'first');
  if (at < 0) return;
  const { where } = steps[at] as Component;
  const before = steps.slice(0, at).find(({ type }) => type === 'ByteLevel' || type === 'Metaspace');
  if (before) throw new Refused(`${where}: its prepend_scheme is "first", after ${before.where}`);
  const changes = normalizer ? flat(normalizer, 'normalizers', 'normalizer') : [];
  // With Metaspace alone the whole text is one piece; these keep its first character.
  const keeps = ['Lowercase', 'NFC', 'NFD', 'NFKC', 'NFKD', 'Prepend'];
  const other = changes.find(({ type }) => !(at === 0 && keeps.includes(type)));
  if (other)
    throw new Refused(`${where}: its prepend_scheme is "first", and ${other.where} may change where a text starts`);
}

function flat(component: Component, list: string, place: string): Component[] {
  if (component.type !== 'Sequence') return [component];
  return componentsIn(component, list, place).flatMap((step, i) => flat(step, list, `${place}.${list}[${i}]`));
}
