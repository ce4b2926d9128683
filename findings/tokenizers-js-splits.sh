#!/bin/bash
# @huggingface/tokenizers 0.2.0 (npm) and tokenizers 0.23.3 (PyPI), one tokenizer.json: the
# package for JavaScript takes each behavior of Split for Isolated, each of Punctuation for
# Contiguous, and finds an added token of single_word inside of words; a word that WordLevel does
# not know has the id undefined. Nothing is said: the ids are others than those that a model was
# trained with.
#
#   Split Removed: js [1,4,2], Python [1, 2]
#   Split MergedWithPrevious: js [1,4,2], Python [3, 2]
#   Split MergedWithNext: js [1,4,2], Python [1, 5]
#   Punctuation Isolated: js [1,6,2], Python [1, 4, 4, 2]
#   single_word: js [10,7], Python [0]
#   unknown word: js [1,undefined], Python [1, 0]
#
# Ends with 0 while it is so.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install -q tokenizers==0.23.3
(cd "$dir" && npm install --silent --no-audit --no-fund @huggingface/tokenizers@0.2.0 >/dev/null)
cat > "$dir/cases.json" <<'J'
[["Split Removed", {"pre_tokenizer": {"type": "Split", "pattern": {"String": "-"}, "behavior": "Removed", "invert": false}}, "a-b"],
 ["Split MergedWithPrevious", {"pre_tokenizer": {"type": "Split", "pattern": {"String": "-"}, "behavior": "MergedWithPrevious", "invert": false}}, "a-b"],
 ["Split MergedWithNext", {"pre_tokenizer": {"type": "Split", "pattern": {"String": "-"}, "behavior": "MergedWithNext", "invert": false}}, "a-b"],
 ["Punctuation Isolated", {"pre_tokenizer": {"type": "Punctuation", "behavior": "Isolated"}}, "a--b"],
 ["single_word", {"added_tokens": [{"id": 10, "content": "ab", "single_word": true, "lstrip": false, "rstrip": false, "normalized": false, "special": false}]}, "abx"],
 ["unknown word", {}, "a zzz"]]
J
cat > "$dir/base.json" <<'J'
{"version": "1.0", "truncation": null, "padding": null, "added_tokens": [], "normalizer": null, "pre_tokenizer": {"type": "Whitespace"}, "post_processor": null, "decoder": null,
 "model": {"type": "WordLevel", "unk_token": "u", "vocab": {"u": 0, "a": 1, "b": 2, "a-": 3, "-": 4, "-b": 5, "--": 6, "x": 7, "y": 8, "z": 9}}}
J
cat > "$dir/js.cjs" <<'J'
const { Tokenizer } = require('@huggingface/tokenizers');
const base = require('./base.json');
for (const [, more, text] of require('./cases.json')) console.log(`[${new Tokenizer({ ...base, ...more }, {}).encode(text).ids.map(String)}]`);
J
cat > "$dir/py.py" <<'P'
import json, sys
from tokenizers import Tokenizer
base = json.load(open(sys.argv[1] + "/base.json"))
for name, more, text in json.load(open(sys.argv[1] + "/cases.json")):
    print(name, Tokenizer.from_str(json.dumps(base | more)).encode(text).ids, sep="\t")
P
seen=$(paste <("$dir/venv/bin/python" "$dir/py.py" "$dir") <(cd "$dir" && node js.cjs) | awk -F'\t' '{print $1 ": js " $3 ", Python " $2}')
echo "$seen"
grep '^#   ' "$0" | cut -c5- | diff - <(echo "$seen") && echo "as before"
