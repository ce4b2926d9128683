#!/bin/bash
# tokenizers 0.23.3: the ids of added_tokens in tokenizer.json are not what the tokens get. They are
# counted on from the number of entries in the vocabulary, so where the vocabulary has a gap (pruned
# ones have), an added token gets the id of a word. Loading says nothing at the default log level.
#
#   ids in the file: b 3, <e1> 4
#   ids of "b <e1>": [3, 3]
#   token of id 3: <e1>
#
# Ends with 0 while it is so.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install -q tokenizers==0.23.3
seen=$("$dir/venv/bin/python" - <<'P'
import json
from tokenizers import Tokenizer
added = {"id": 4, "content": "<e1>", "single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
tokenizer = Tokenizer.from_str(json.dumps({
    "version": "1.0", "truncation": None, "padding": None, "added_tokens": [added], "normalizer": None,
    "pre_tokenizer": {"type": "Whitespace"}, "post_processor": None, "decoder": None,
    "model": {"type": "WordLevel", "unk_token": "u", "vocab": {"u": 0, "a": 1, "b": 3}},
}))
print("ids in the file: b 3, <e1> 4")
print('ids of "b <e1>":', tokenizer.encode("b <e1>").ids)
print("token of id 3:", tokenizer.id_to_token(3))
P
)
echo "$seen"
grep '^#   ' "$0" | cut -c5- | diff - <(echo "$seen") && echo "as before"
