/** Lines of a stream as they come. */
import { PassThrough, Readable } from 'node:stream';
import { exampleLines, linePieces, PIECE } from '../../src/cli/predict_input';

const { signal } = new AbortController();

async function all(chunks: (string | Buffer)[]): Promise<{ lines: string[]; firstLine: number }[]> {
  const pieces = [];
  for await (const piece of linePieces(Readable.from(chunks.map((c) => Buffer.from(c))), 'input', signal))
    pieces.push(piece);
  return pieces;
}

test('chunks that end anywhere, in a character too, give the same lines', async () => {
  const bytes = Buffer.from('\ufeffgrüße\r\n\r\nzwei 🎬 drei\nlast');
  const single = [...bytes].map((byte) => Buffer.of(byte));
  for (const chunks of [[bytes], single, [bytes.subarray(0, 7), bytes.subarray(7)]]) {
    expect((await all(chunks)).flatMap(({ lines }) => lines)).toEqual(['grüße', '', 'zwei 🎬 drei', 'last']);
  }
});

test('lines are numbered, and no piece is larger than what is predicted together', async () => {
  const many = `${'x\n'.repeat(PIECE + 5)}`;
  const pieces = await all([many, 'y\n']);
  expect(pieces.map(({ lines, firstLine }) => [lines.length, firstLine])).toEqual([
    [PIECE, 1],
    [5, PIECE + 1],
    [1, PIECE + 6],
  ]);
  expect(await all([])).toEqual([]);
});

test('a piece comes while the stream is open', async () => {
  const stream = new PassThrough();
  const pieces = linePieces(stream, 'input', signal);
  stream.write('first\nsec');
  expect((await pieces.next()).value).toEqual({ lines: ['first'], firstLine: 1 });
  stream.end('ond');
  expect((await pieces.next()).value).toEqual({ lines: ['second'], firstLine: 2 });
  expect((await pieces.next()).done).toBe(true);
});

test('a signal ends the wait for a stream that gives nothing', async () => {
  const controller = new AbortController();
  const next = linePieces(new PassThrough(), 'input', controller.signal).next();
  setTimeout(() => controller.abort(), 10);
  await expect(next).rejects.toMatchObject({ code: 'ABORTED' });
});

test('a line that no memory should hold is an error with its number', async () => {
  const chunk = Buffer.alloc(1 << 24, 'x');
  await expect(all(['a\n', chunk, chunk, chunk, chunk, chunk])).rejects.toThrow(/^input:2: has more than/);
});

test('each line is a text with its place, an empty one too', async () => {
  const examples = [];
  const pieces = linePieces(Readable.from([Buffer.from('a\n\nb\n')]), 'in.txt', signal);
  for await (const piece of exampleLines(pieces, 'in.txt', 'text', {})) examples.push(...piece);
  expect(examples).toEqual(['a', '', 'b'].map((text, i) => ({ text, place: `in.txt:${i + 1}` })));
});

describe('objects', () => {
  const read = async (text: string, columns = {}) => {
    const examples = [];
    const pieces = linePieces(Readable.from([Buffer.from(text)]), 'in', signal);
    for await (const piece of exampleLines(pieces, 'in', 'jsonl', columns)) examples.push(...piece);
    return examples;
  };

  test('texts, pairs and words', async () => {
    expect(await read('{"text": "a"}\n\n{"sentence": "b"}\n')).toEqual([
      { text: 'a', place: 'in:1' },
      { text: 'b', place: 'in:3' },
    ]);
    const columns = { textColumn: 'q', textPairColumn: 'p' };
    expect(await read('{"q": "a", "p": "b"}\n', columns)).toEqual([{ text: 'a', textPair: 'b', place: 'in:1' }]);
    expect(await read('{"tokens": ["a", "b"]}\n')).toEqual([{ tokens: ['a', 'b'], place: 'in:1' }]);
  });

  test.each([
    ['{"text": 1}', /^in:1: has no text in the field "text"; it is 1/],
    ['{"review": "a"}', /^in:1: has no text in the field "text"; it has review/],
    ['{"text": "a"}\nb', /^in:2: is not JSON/],
    ['[1]', /^in:1: is not a JSON object/],
    ['{"tokens": [1]}', /^in:1: its tokens must be strings/],
  ])('%s', async (text, message) => {
    await expect(read(text)).rejects.toThrow(message);
  });
});
