/**
 * The named target patterns of Mariano Kamp's article "A Winding Road to Parameter Efficiency":
 * which parts of RoBERTa carry adapters, by component (vertical) or by layer (horizontal); and how
 * a pattern with ranks is read. PEFT's way to name targets: match.ts.
 */
import { compilePattern, type Pattern, type PatternMode } from '../base/patterns';
import { invalidLora, MAX_RANK } from './config';

/**
 * `count` layer numbers evenly spread from `first` to `last`, both included, as alternatives of a
 * path's number.
 */
function layers(first: number, last: number, count: number): string {
  const step = (last - first) / (count - 1);
  return Array.from({ length: count }, (_, i) => `\\.${Math.round(first + i * step)}\\.`).join('|');
}

/** Only the head is trained; no module carries an adapter. */
export const CLASSIFIER_ONLY = 'clf_only';

const FEED_FORWARD_DOWN = 'layer\\.\\d+\\.output';

/** Patterns by name. 12_ is for encoders of 12 layers, 24_ for those of 24. */
export const LORA_PRESETS: Readonly<Record<string, string>> = {
  [CLASSIFIER_ONLY]: '',
  all_linears: '^(roberta|bert)\\.',
  all: `query|key|value|attention\\.output|intermediate|${FEED_FORWARD_DOWN}`,
  att_q: 'query',
  att_k: 'key',
  att_v: 'value',
  att_o: 'attention\\.output',
  ff_u: 'intermediate',
  ff_d: FEED_FORWARD_DOWN,
  '12_top1': 'layer\\.11\\.',
  '12_bot1': 'layer\\.0\\.',
  '12_upper': layers(6, 11, 4),
  '12_lower': layers(0, 6, 4),
  '12_even': layers(0, 11, 4),
  '24_upper': layers(12, 23, 6),
  '24_lower': layers(0, 11, 6),
  '24_even': layers(0, 23, 6),
  'ff_d+ff_u': `${FEED_FORWARD_DOWN}|intermediate`,
  'att_qk+ff_u': 'query|key|intermediate',
  'att_qv+ff_u': 'query|value|intermediate',
  'att_q+ff_u': 'query|intermediate',
  'att_q+ff_d': `query|${FEED_FORWARD_DOWN}`,
  'att_k+ff_u': 'key|intermediate',
  'att_v+ff_d': `value|${FEED_FORWARD_DOWN}`,
  'att_v+ff_u': 'value|intermediate',
  'att_o+ff_u': 'attention\\.output|intermediate',
  '12_top2_ff_u': '\\.1[01]\\..*intermediate',
  '12_lowest2_ff_u': '\\.[01]\\..*intermediate',
};

/** One alternative of a pattern. */
export interface PatternPart {
  text: string;
  regex: Pattern;
  /** The rank in parentheses behind it; undefined takes the configuration's. */
  rank: number | undefined;
}

/** Splits at | outside of parentheses and brackets. */
function alternatives(pattern: string): string[] {
  const parts = [''];
  let depth = 0;
  for (let i = 0; i < pattern.length; i++) {
    const c = pattern[i] as string;
    if (c === '\\') {
      parts[parts.length - 1] += c + (pattern[++i] ?? '');
      continue;
    }
    if (c === '(' || c === '[') depth++;
    if (c === ')' || c === ']') depth--;
    if (c === '|' && depth === 0) parts.push('');
    else parts[parts.length - 1] += c;
  }
  return parts;
}

/**
 * Reads a pattern `regex(rank)|regex|…` or the name of a preset; the regular expressions are
 * searched in a module's path.
 *
 * @returns no parts for clf_only.
 * @throws FusedLoraError INVALID_LORA for an unreadable regular expression or a rank that is not
 * from 1 to 256.
 */
export function parsePattern(pattern: string): PatternPart[] {
  const named = Object.hasOwn(LORA_PRESETS, pattern) ? (LORA_PRESETS[pattern] as string) : pattern;
  if (named === '') return [];
  return alternatives(named).map((text) => {
    const [, body = '', digits] = /^(.*?)(?:\((\d+)\))?$/s.exec(text) as RegExpExecArray;
    const rank = digits === undefined ? undefined : Number(digits);
    if (rank !== undefined && (rank < 1 || rank > MAX_RANK)) {
      throw invalidLora(`pattern "${text}" asks for rank ${rank}; a rank must be from 1 to ${MAX_RANK}.`);
    }
    if (body === '')
      throw invalidLora(`pattern "${pattern}" has an empty alternative, which would match every module.`);
    return { text, regex: compiled(body, 'pattern'), rank };
  });
}

/** A pattern of a field of the configuration, in Python's syntax. */
export function compiled(source: string, field: string, mode: PatternMode = 'search'): Pattern {
  return compilePattern(source, `LoRA configuration: ${field}`, { mode, code: 'INVALID_LORA' });
}
