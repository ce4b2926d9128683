/**
 * A sentiment task from a grammar of our own, for the quickstart, examples and tests: small enough
 * to be code. A bag of words can not solve it, and its dev half uses opinion words and templates
 * that its train half does not have, so that what an encoder learnt in pretraining counts.
 * Templates are in grammar.ts, words in lexicon.ts; it is no part of the library.
 */
import type { TextExample } from '../../src';
import { RANDOM_SITE, RandomStream } from '../../src/base/philox';
import { type Choose, DEV_GRAMMAR, sentencePair, TRAIN_GRAMMAR } from './grammar';

/** Sentences made by a grammar, with labels. */
export interface SentimentTask {
  train: TextExample[];
  dev: TextExample[];
  labelNames: [string, string];
}

export const TRAIN_SENTENCES = 4800;
export const DEV_SENTENCES = 800;

/**
 * Sentiment sentences with negation and contrast, which a bag of words can not classify; dev has
 * words and templates that train has not.
 *
 * @param seed another one, other sentences. Default 0. The same seed gives the same sentences.
 */
export function makeSentimentTask(seed = 0): SentimentTask {
  const make = (grammar: typeof TRAIN_GRAMMAR, count: number, part: number): TextExample[] => {
    const random = new RandomStream(seed, RANDOM_SITE.synthetic, part);
    const choose: Choose = (items) => random.pick(items);
    const texts = new Set<string>();
    const examples: TextExample[] = [];
    while (examples.length < count) {
      const pair = sentencePair(grammar, choose);
      if (texts.has(pair.positive) || texts.has(pair.negative)) continue;
      for (const label of ['positive', 'negative'] as const) {
        texts.add(pair[label]);
        examples.push({ text: pair[label], label });
      }
    }
    return examples;
  };
  return {
    train: make(TRAIN_GRAMMAR, TRAIN_SENTENCES, 0),
    dev: make(DEV_GRAMMAR, DEV_SENTENCES, 1),
    labelNames: ['negative', 'positive'],
  };
}
