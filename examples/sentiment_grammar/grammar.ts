/**
 * Sentences of one or two clauses. A clause has a polarity: that of its opinion
 * word, turned round by a negation. Of two clauses in contrast one decides: the
 * main clause after "but" and "although …,", the first one before "although".
 * So the same bag of words has either label, and only word order tells.
 * The words: lexicon.ts. Who draws sentences: index.ts.
 */
import { ASPECTS, DEV_INTENSIFIERS, DEV_OPINIONS, type Polarity, TRAIN_INTENSIFIERS, TRAIN_OPINIONS } from './lexicon';

/** A choice among `items`, all equally likely. */
export type Choose = <T>(items: readonly T[]) => T;

/**
 * `{x}` is the clause that decides, `{y}` the one of the other polarity; `{a}` an aspect, `{o}` an
 * opinion word, `{i}` an intensifier.
 */
interface Grammar {
  /** One in five is denied, so that single clauses still tell what an opinion word means. */
  clauses: Record<'said' | 'denied', readonly string[]>;
  contrasts: readonly string[];
  /** Around a single clause. */
  frames: readonly string[];
  opinions: Readonly<Record<Polarity, readonly string[]>>;
  intensifiers: readonly string[];
}

export const TRAIN_GRAMMAR: Grammar = {
  clauses: {
    said: ['{a} is {i} {o}', 'i found {a} {o}', '{a} feels {o} from start to finish', '{a} turns out to be {o}'],
    denied: ['{a} is not {o}', '{a} is never {o}', 'nobody could call {a} {o}', '{a} is not at all {o}'],
  },
  contrasts: [
    '{y} , but {x} .',
    '{y} , but in the end {x} .',
    'although {y} , {x} .',
    '{x} , although {y} .',
    'even if {y} , {x} .',
    '{x} , even if {y} .',
  ],
  frames: ['{x} .', 'this time {x} .', 'as so often , {x} .', '{x} , and that is that .'],
  opinions: TRAIN_OPINIONS,
  intensifiers: TRAIN_INTENSIFIERS,
};

export const DEV_GRAMMAR: Grammar = {
  clauses: {
    said: ['{a} was {i} {o}', '{a} seems {o} to me', 'we thought {a} was {o}', '{a} looks {i} {o}'],
    denied: [
      '{a} was not {i} {o}',
      '{a} does not seem {o}',
      '{a} never looks {o}',
      'nobody would say that {a} was {o}',
    ],
  },
  contrasts: [
    'they say {y} , but {x} !',
    '{y} at first , but then {x} .',
    'although it is true that {y} , {x} !',
    'for me {x} , although {y} .',
    'even if some say {y} , {x} !',
    'it has to be said that {x} , even if {y} .',
  ],
  frames: ['in my opinion {x} !', 'well , {x} !', 'to be fair , {x} .', 'i must say that {x} .'],
  opinions: DEV_OPINIONS,
  intensifiers: DEV_INTENSIFIERS,
};

const opposite = (polarity: Polarity): Polarity => (polarity === 'positive' ? 'negative' : 'positive');

/** A clause of this polarity about an aspect. */
function clause(grammar: Grammar, polarity: Polarity, aspect: string, choose: Choose): string {
  const negated = choose([true, false, false, false, false]);
  const text = choose(grammar.clauses[negated ? 'denied' : 'said']);
  const opinion = choose(grammar.opinions[negated ? opposite(polarity) : polarity]);
  return text.replace('{a}', aspect).replace('{i}', choose(grammar.intensifiers)).replace('{o}', opinion);
}

/**
 * A positive and a negative sentence. One pair in three is two
 * clauses in contrast, told in either order: twins in their words.
 */
export function sentencePair(grammar: Grammar, choose: Choose): Record<Polarity, string> {
  const first = choose(ASPECTS);
  const second = choose(ASPECTS.filter((aspect) => aspect !== first));
  const positive = clause(grammar, 'positive', first, choose);
  const negative = clause(grammar, 'negative', second, choose);
  const fill = (template: string, x: string, y: string) => template.replace('{y}', y).replace('{x}', x);
  if (choose([true, true, false])) {
    return {
      positive: fill(choose(grammar.frames), positive, ''),
      negative: fill(choose(grammar.frames), negative, ''),
    };
  }
  const contrast = choose(grammar.contrasts);
  return { positive: fill(contrast, positive, negative), negative: fill(contrast, negative, positive) };
}
