import { nearNames } from '../../src/base/near';

test.each<[string, string[], string[]]>([
  ['loraAplha', ['r', 'loraAlpha', 'loraDropout'], ['loraAlpha']],
  ['rank', ['r', 'loraAlpha'], ['r']],
  ['lara', ['lora', 'full', 'head'], ['lora']],
  ['txet', ['text', 'label'], ['text']],
  ['postive', ['negative', 'positive'], ['positive']],
  ['decoder', ['roberta.encoder.layer', 'roberta.decoders'], ['roberta.decoders']],
  // What has nothing in common with a name was no mistyping of it.
  ['2', ['bad', 'good'], []],
  ['zzz', ['device', 'seed'], []],
])('%s among %j: %j', (wanted, names, expected) => {
  expect(nearNames(wanted, names, 1)).toEqual(expected);
});
