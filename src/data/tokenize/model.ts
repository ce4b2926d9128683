/**
 * The model of tokenizer.json by its type; older files lack the type, and are told by their fields
 * as Python does it. Models: bpe.ts, word_models.ts, unigram.ts.
 */
import { Bpe } from './bpe';
import { requireKnown } from './components';
import { type Component, Refused, short } from './refused';
import { Unigram } from './unigram';
import type { TokenModel } from './vocabulary';
import { WordLevel, WordPiece } from './word_models';

export function modelOf(value: unknown): TokenModel {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new Refused(`model is ${short(value)}; expected an object`);
  }
  const fields = value as Record<string, unknown>;
  const type = typeof fields['type'] === 'string' ? fields['type'] : typeByFields(fields);
  const component: Component = { type, fields, where: `model (${type})` };
  requireKnown('model', component);
  switch (type) {
    case 'BPE':
      return new Bpe(component);
    case 'WordPiece':
      return new WordPiece(component);
    case 'WordLevel':
      return new WordLevel(component);
    default:
      return new Unigram(component);
  }
}

function typeByFields(fields: Record<string, unknown>): string {
  if (Array.isArray(fields['vocab'])) return 'Unigram';
  if ('merges' in fields) return 'BPE';
  if ('continuing_subword_prefix' in fields && 'max_input_chars_per_word' in fields) return 'WordPiece';
  if ('unk_token' in fields && 'vocab' in fields) return 'WordLevel';
  throw new Refused('model has no type, and not the fields of any: BPE, WordPiece, WordLevel, Unigram');
}
