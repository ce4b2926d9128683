/**
 * What stands in CoNLL files beside words: comments and document marks, told; and words that begin
 * with #.
 */
import * as fs from 'node:fs';
import * as path from 'node:path';
import type { ReadOptions } from '../../src/data/read/read_examples';
import { readTokenExamples } from '../../src/data/read/read_token_examples';
import { temporaryFolder } from '../io/temporary';

const dir = temporaryFolder();
const file = path.join(dir, 'a.conll');

async function read(content: string, options: ReadOptions = {}, labelled = true) {
  fs.writeFileSync(file, content);
  const notices: string[] = [];
  const onNotice = (line: string) => void notices.push(line.replace(`${file}: `, ''));
  const sentences = await readTokenExamples(file, { ...options, onNotice }, labelled);
  return { sentences: sentences.map(({ tokens, labels }) => [tokens.join('|'), labels?.join('|')]), notices };
}

it.each<[string, string, [string, string][], string[]]>([
  [
    'comments of CoNLL-U, blanks between columns',
    '# newdoc\n# sent_id = 1\n# text = Ann met Bob\nAnn B-PER\nmet O\nBob B-PER\n\n# sent_id = 2\nHi O\n',
    [
      ['Ann|met|Bob', 'B-PER|O|B-PER'],
      ['Hi', 'O'],
    ],
    ['4 comment lines left out (the first: line 1)'],
  ],
  [
    'comments with tabs between columns',
    '# id 7\nAnn\tB-PER\n',
    [['Ann', 'B-PER']],
    ['1 comment line left out (the first: line 1)'],
  ],
  [
    'a word that is #',
    '# O\n1 O\n\nis O\n# O\n1 O\n',
    [
      ['#|1', 'O|O'],
      ['is|#|1', 'O|O|O'],
    ],
    [],
  ],
  ['words that begin with #', '#love\tO\n#film\tB-TOPIC\n', [['#love|#film', 'O|B-TOPIC']], []],
  [
    'a sentence of such words alone, after a comment',
    'a X O\n\n# id = 2\n#love X O\n\n',
    [
      ['a', 'O'],
      ['#love', 'O'],
    ],
    ['columns that are not read: "1"', '1 comment line left out (the first: line 3)'],
  ],
  [
    'documents of CoNLL-2012',
    '#begin document (x); part 000\nx 0 Ann (PER)\n\n#end document\n',
    [['x', '(PER)']],
    ['columns that are not read: "1", "2"', '2 comment lines left out (the first: line 1)'],
  ],
  [
    'marks of documents, a byte order mark, CRLF',
    '\uFEFF-DOCSTART- -X- O\r\n\r\nAnn\tNNP\tB-PER\r\n\r\n-DOCSTART-\r\nBob\tNNP\tB-PER\r\n',
    [
      ['Ann', 'B-PER'],
      ['Bob', 'B-PER'],
    ],
    ['columns that are not read: "1"', '2 document marks left out (the first: line 1)'],
  ],
  ['a word that holds a blank', 'New York\tB-LOC\nis\tO\n', [['New York|is', 'B-LOC|O']], []],
])('%s', async (_, content, sentences, notices) => {
  expect(await read(content)).toEqual({ sentences, notices });
});

it('comments in files without labels', async () => {
  expect(await read('# text = a b\na\n#b\n\n#c\n', {}, false)).toEqual({
    sentences: [
      ['a|#b', undefined],
      ['#c', undefined],
    ],
    notices: ['1 comment line left out (the first: line 1)'],
  });
});

it('columns of several numbers, of which none says where the label is', async () => {
  await expect(read('Ann B-PER\nNew York B-LOC\n')).rejects.toMatchObject({
    code: 'INVALID_DATA',
    message: expect.stringMatching(/a.conll:2: has 3 columns, the lines before 2; put tabs .*--label-column/),
  });
  expect((await read('Ann B-PER\nBob B-PER x\n', { labelColumn: 1 })).sentences).toEqual([['Ann|Bob', 'B-PER|B-PER']]);
});
