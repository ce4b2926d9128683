/**
 * The labels of a text that may have several, in the forms that data have them: lists, multi-hot
 * lists, names with commas between, and lists written as text by pandas or numpy. What the labels
 * then are called and their ids: labels.ts.
 */
import { FusedLoraError } from '../../base/errors';
import { shown } from '../../base/shown';

type Item = string | number;

const refuse = (place: string, problem: string) => new FusedLoraError('INVALID_DATA', `${place}: ${problem}`);

/**
 * The labels of one text; none is a list too.
 *
 * @returns undefined where there is no label at all.
 * @throws FusedLoraError INVALID_DATA for text in brackets that is no list.
 */
export function labelList(label: unknown, place: string): readonly Item[] | undefined {
  if (Array.isArray(label)) return label.some((x) => typeof x === 'boolean') ? truthValues(label, place) : label;
  if (typeof label === 'number') return [label];
  if (typeof label !== 'string') return undefined;
  const text = label.trim();
  if (/^\[.*\]$|^[({]\s*['"].*[)}]$/s.test(text)) return parseList(text, place);
  return text
    .split(',')
    .map((name) => name.trim())
    .filter((name) => name !== '');
}

/**
 * An item of a list in text: a string in quotes with escapes, or what stands there without; then a
 * comma, a blank or the end.
 */
const ITEM = /\s*(?:'((?:[^'\\]|\\.)*)'|"((?:[^"\\]|\\.)*)"|([^\s,'"[\](){}]+))\s*(?:,|(?=\s|['"]|$))/sy;
const ESCAPES: Readonly<Record<string, string>> = { n: '\n', t: '\t', r: '\r' };

const unescaped = (text: string) =>
  text.replace(/\\(?:u([0-9a-fA-F]{4})|x([0-9a-fA-F]{2})|(.))/gs, (_, u?: string, x?: string, one?: string) =>
    one === undefined ? String.fromCharCode(Number.parseInt((u ?? x) as string, 16)) : (ESCAPES[one] ?? one),
  );

/**
 * A list with truth values as the multi-hot list that it is.
 *
 * @throws FusedLoraError INVALID_DATA where it has other items too, or one alone: as names they
 * would be something else.
 */
export function truthValues(list: readonly unknown[], place: string): number[] {
  if (list.length >= 2 && list.every((item) => typeof item === 'boolean')) return list.map(Number);
  throw refuse(
    place,
    `the label is ${shown(list)}; a list of true and false says for each of at least two labels whether the text has it. ` +
      'Write that, or the names of its labels',
  );
}

/**
 * `["a", "b"]`, `['a', 'b']`, `['a' 'b']`, `[0, 1]`, `[0 1]`; items without quotes are numbers,
 * kept as they are written, or truth values.
 */
function parseList(text: string, place: string): Item[] {
  const inside = text.slice(1, -1);
  const items: (Item | boolean)[] = [];
  ITEM.lastIndex = 0;
  while (ITEM.lastIndex < inside.trimEnd().length) {
    const [, single, double, bare] = ITEM.exec(inside) ?? [];
    if (single !== undefined || double !== undefined) items.push(unescaped((single ?? double) as string));
    else if (bare !== undefined && /^[Tt]rue$|^[Ff]alse$/.test(bare)) items.push(/^t/i.test(bare));
    else if (bare !== undefined && Number.isFinite(Number(bare))) items.push(bare);
    else {
      throw refuse(
        place,
        `the label ${shown(text)} is in brackets and is no list of names in quotes or of numbers; write ["a", "b"], or a, b without brackets`,
      );
    }
  }
  if (items.some((item) => typeof item === 'boolean')) return truthValues(items, place);
  return items as Item[];
}

/** What a list of numbers says: each label's 0 or 1, or which labels there are. */
export type ListForm = 'multi-hot' | 'labels';

const isBinary = (item: Item) => item !== '' && (Number(item) === 0 || Number(item) === 1);
const isRepeated = (list: readonly Item[]) => new Set(list.map(Number)).size < list.length;

/**
 * Tells by all lists of a data set whether they are multi-hot ([0, 0, 1] is the third label) or
 * name labels: multi-hot are those of one length, of at least two, with nothing but 0 and 1, of
 * which one has a number twice (as class ids it would not) or both orders of 0 and 1 come.
 */
export class ListForms {
  private length: number | undefined;
  private alike = true;
  private repeated: { list: readonly Item[]; place: string } | undefined;
  private other: { list: readonly Item[]; place: string } | undefined;
  private first: { list: readonly Item[]; place: string } | undefined;
  private readonly firsts = new Set<number>();

  add(list: readonly Item[], place: string): void {
    this.first ??= { list, place };
    this.length ??= list.length;
    const binary = list.length >= 2 && list.every(isBinary);
    if (!binary || list.length !== this.length) {
      this.alike = false;
      this.other ??= { list, place };
    }
    if (!binary) return;
    this.firsts.add(Number(list[0]));
    if (isRepeated(list)) this.repeated ??= { list, place };
  }

  /**
   * @param numLabels where it is known.
   * @returns the form, and the length of multi-hot lists.
   * @throws FusedLoraError INVALID_DATA for lists of both forms, for multi-hot lists of another
   * length than there are labels, and for those that may be either.
   */
  done(numLabels?: number): { form: ListForm; length: number } {
    const { length = 0, repeated, other, first } = this;
    if (!first || !this.alike || length < 2) {
      if (!repeated) return { form: 'labels', length };
      const { list, place } = other as NonNullable<typeof other>;
      throw refuse(
        repeated.place,
        `the labels ${shown(repeated.list)} are a multi-hot list (0 or 1 for each label), but ${place} has ${shown(list)}; give all rows lists of one form`,
      );
    }
    const sure = repeated !== undefined || this.firsts.size === 2;
    if (sure && (numLabels ?? length) === length) return { form: 'multi-hot', length };
    if (sure) {
      throw refuse(
        (repeated ?? first).place,
        `the labels ${shown((repeated ?? first).list)} are a multi-hot list of ${length}, but there are ${numLabels} labels; give one 0 or 1 for each`,
      );
    }
    if (numLabels !== undefined && numLabels !== length) return { form: 'labels', length };
    throw refuse(
      first.place,
      `the labels ${shown(first.list)}, as in all rows, may be class ids or a multi-hot list (0 or 1 for each label); write the labels' names`,
    );
  }
}
