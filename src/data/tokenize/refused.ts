/**
 * Why a tokenizer can not be used, before the file is known that says so; and reading its parts
 * field by field. tokenizer.ts makes INVALID_TOKENIZER of it, with the file and what to do.
 */

/** The message starts with the place in the file: `pre_tokenizer.pretokenizers[1] (Split): …`. */
export class Refused extends Error {}

/** A component of tokenizer.json. */
export interface Component {
  type: string;
  fields: Record<string, unknown>;
  /** Where it stands, with its type. */
  where: string;
}

/** The component at a place; undefined for null, which is none. */
export function componentAt(value: unknown, place: string): Component | undefined {
  if (value === undefined || value === null) return undefined;
  const fields = value as Record<string, unknown>;
  if (typeof value !== 'object' || Array.isArray(value) || typeof fields['type'] !== 'string') {
    throw new Refused(`${place} is ${short(value)}; expected an object with a type`);
  }
  return { type: fields['type'], fields, where: `${place} (${fields['type']})` };
}

/** Components of a list in a component. */
export function componentsIn({ fields, where }: Component, name: string, place: string): Component[] {
  const list = fields[name];
  if (!Array.isArray(list)) throw new Refused(`${where}: its ${name} is ${short(list)}; expected a list`);
  return list.map((item, i) => {
    const component = componentAt(item, `${place}.${name}[${i}]`);
    if (!component) throw new Refused(`${place}.${name}[${i}] is null; leave it out`);
    return component;
  });
}

const CHECKS = {
  boolean: { says: 'true or false', holds: (value: unknown): value is boolean => typeof value === 'boolean' },
  string: { says: 'a text', holds: (value: unknown): value is string => typeof value === 'string' },
  count: {
    says: 'a whole number from 0',
    holds: (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 0,
  },
  list: { says: 'a list', holds: (value: unknown): value is unknown[] => Array.isArray(value) },
  object: {
    says: 'an object',
    holds: (value: unknown): value is Record<string, unknown> =>
      typeof value === 'object' && value !== null && !Array.isArray(value),
  },
} as const;
type Kinds = {
  [K in keyof typeof CHECKS]: (typeof CHECKS)[K]['holds'] extends (value: unknown) => value is infer T ? T : never;
};

/** A field of a kind; `fallback` stands for one that is left out or null. */
export function field<K extends keyof Kinds>(
  { fields, where }: Pick<Component, 'fields' | 'where'>,
  name: string,
  kind: K,
  fallback?: Kinds[K],
): Kinds[K] {
  const value = fields[name] ?? fallback;
  if (CHECKS[kind].holds(value)) return value as Kinds[K];
  throw new Refused(`${where}: its ${name} is ${short(value)}; expected ${CHECKS[kind].says}`);
}

/** A field that is one of some words. */
export function oneOf<T extends string>(component: Component, name: string, words: readonly T[], fallback?: T): T {
  const value = field(component, name, 'string', fallback);
  if (words.includes(value as T)) return value as T;
  throw new Refused(`${component.where}: its ${name} is "${value}"; expected one of ${words.join(', ')}`);
}

/** A value for a message. */
export function short(value: unknown): string {
  if (value === undefined) return 'missing';
  const text = JSON.stringify(value) ?? String(value);
  return text.length > 60 ? `${text.slice(0, 57)}...` : text;
}
