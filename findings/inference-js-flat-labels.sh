#!/bin/bash
# @huggingface/inference 4.13.30 (npm): textClassification with the address of an endpoint refuses
# the list that its own types promise, [{"label", "score"}], which is what text-embeddings-inference
# answers for one text, and takes a list of that list. For tokenClassification it is the reverse.
#
#   textClassification, a list: refused
#   textClassification, a list of a list: good 0.9
#   tokenClassification, a list: PER Anna
#   tokenClassification, a list of a list: refused
#
# Ends with 0 while it is so. A server that all clients can ask has to answer labels nested, and
# entities flat: src/serve/routes/hugging_face.ts.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT
(cd "$dir" && npm install --silent --no-audit --no-fund @huggingface/inference@4.13.30 >/dev/null)
cat > "$dir/ask.cjs" <<'J'
const http = require('node:http');
const { InferenceClient } = require('@huggingface/inference');
const labels = [{ label: 'good', score: 0.9 }];
const entities = [{ entity_group: 'PER', score: 0.9, word: 'Anna', start: 0, end: 4 }];
const answers = { '/labels': labels, '/nested-labels': [labels], '/entities': entities, '/nested-entities': [entities] };
const server = http.createServer((request, response) => {
  request.resume().on('end', () => {
    response.setHeader('content-type', 'application/json').end(JSON.stringify(answers[request.url]));
  });
});
server.listen(0, '127.0.0.1', async () => {
  const url = `http://127.0.0.1:${server.address().port}`;
  const client = new InferenceClient();
  const ask = async (task, form, path, show) => {
    const said = await client[task]({ endpointUrl: url + path, inputs: 'Anna' }).then(show, () => 'refused');
    console.log(`${task}, ${form}: ${said}`);
  };
  const label = ([one]) => `${one.label} ${one.score}`;
  const entity = ([one]) => `${one.entity_group} ${one.word}`;
  await ask('textClassification', 'a list', '/labels', label);
  await ask('textClassification', 'a list of a list', '/nested-labels', label);
  await ask('tokenClassification', 'a list', '/entities', entity);
  await ask('tokenClassification', 'a list of a list', '/nested-entities', entity);
  server.close();
});
J
seen=$(cd "$dir" && node ask.cjs)
echo "$seen"
grep '^#   ' "$0" | cut -c5- | diff - <(echo "$seen") && echo "as before"
