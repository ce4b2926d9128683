/**
 * What is put around texts: the post-processors of tokenizer.json as one template for a text and
 * one for a pair. How texts are cut before that is in truncate.ts.
 */
import { requireKnown } from './components';
import { type Component, componentsIn, field, Refused, short } from './refused';
import { checkedId, refusedAt } from './vocabulary';

/** Special tokens, or one of the texts, with the token type of each. */
export type TemplatePiece = { ids: number[]; type: number } | { text: 0 | 1; type: number };

export interface Templates {
  single: TemplatePiece[];
  pair: TemplatePiece[];
}

/** Without special tokens: the second text has a type of its own all the same. */
const PLAIN: Templates = {
  single: [{ text: 0, type: 0 }],
  pair: [
    { text: 0, type: 0 },
    { text: 1, type: 1 },
  ],
};

/** The templates of a post-processor; undefined stands for none. */
export function templatesOf(component: Component | undefined): Templates {
  const adding = component ? stepsOf(component, 'post_processor').filter(({ type }) => type !== 'ByteLevel') : [];
  const [step, second] = adding;
  if (second) throw new Refused(`${second.where}: a second step that adds tokens, after ${step?.type}`);
  if (!step) return PLAIN;
  if (step.type === 'TemplateProcessing') return template(step);
  const [cls, sep] = [special(step, 'cls'), special(step, 'sep')];
  if (step.type === 'BertProcessing') {
    const first: TemplatePiece[] = [
      { ids: [cls], type: 0 },
      { text: 0, type: 0 },
      { ids: [sep], type: 0 },
    ];
    return { single: first, pair: [...first, { text: 1, type: 1 }, { ids: [sep], type: 1 }] };
  }
  // RoBERTa has one token type, and two separators between texts.
  const first: TemplatePiece[] = [
    { ids: [cls], type: 0 },
    { text: 0, type: 0 },
    { ids: [sep], type: 0 },
  ];
  return { single: first, pair: [...first, { ids: [sep], type: 0 }, { text: 1, type: 0 }, { ids: [sep], type: 0 }] };
}

/** Tokens that a template adds. */
export function addedBy(template: readonly TemplatePiece[]): number {
  return template.reduce((sum, piece) => sum + ('ids' in piece ? piece.ids.length : 0), 0);
}

function stepsOf(component: Component, place: string): Component[] {
  requireKnown('post_processor', component);
  if (component.type !== 'Sequence') return [component];
  return componentsIn(component, 'processors', place).flatMap((step, i) => stepsOf(step, `${place}.processors[${i}]`));
}

/** `["[CLS]", 101]`. */
function special(step: Component, name: string): number {
  const value = field(step, name, 'list');
  if (value.length !== 2 || typeof value[0] !== 'string') {
    throw new Refused(`${step.where}: its ${name} is ${short(value)}; expected [token, id]`);
  }
  return checkedId(value[1], value[0], refusedAt(step.where));
}

function template(step: Component): Templates {
  const { where } = step;
  const specials = field(step, 'special_tokens', 'object');
  const pieceOf = (value: unknown): TemplatePiece => {
    const { SpecialToken: token, Sequence: text } = (value ?? {}) as Record<
      string,
      { id?: unknown; type_id?: unknown }
    >;
    const { id, type_id: type } = token ?? text ?? {};
    if (!Number.isInteger(type) || typeof id !== 'string') {
      throw new Refused(`${where}: ${short(value)} is no piece of a template`);
    }
    if (text) {
      if (id !== 'A' && id !== 'B') throw new Refused(`${where}: ${short(value)} names no text; A and B are known`);
      return { text: id === 'A' ? 0 : 1, type: type as number };
    }
    const ids = Object.hasOwn(specials, id) ? (specials[id] as { ids?: unknown } | null)?.ids : undefined;
    if (!Array.isArray(ids)) throw new Refused(`${where}: its special_tokens lack "${id}" with its ids`);
    return { ids: ids.map((each) => checkedId(each, id, refusedAt(where))), type: type as number };
  };
  const single = field(step, 'single', 'list').map(pieceOf);
  const pair = field(step, 'pair', 'list').map(pieceOf);
  if (single.some((piece) => 'text' in piece && piece.text === 1)) {
    throw new Refused(`${where}: its single names the second text`);
  }
  return { single, pair };
}
