#!/bin/bash
# transformers 5.23.0 (tokenizers 0.23.3): where config.json says roberta, AutoTokenizer takes
# vocabulary and merges of tokenizer.json, and makes the rest anew. A normalizer of the file is
# dropped in silence; saved again, it is gone. Without tokenizer.json, <mask> no longer takes the
# blank before it along, as RoBERTa's own tokenizer.json has it. And PreTrainedTokenizerFast gives
# pairs no token types, though the file has them, so that BERT reads both texts as the first.
#
#   Lowercase in tokenizer.json, read by Tokenizer.from_file: [4]
#   the same folder, read by AutoTokenizer: [5]
#   "a <mask>" with tokenizer.json: [4, 7]
#   "a <mask>" with vocab.json and merges.txt: [4, 6, 7]
#   token types of a pair, by the file: [0, 1]
#   of PreTrainedTokenizerFast: none
#
# Ends with 0 while it is so.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install -q transformers==5.23.0 tokenizers==0.23.3
seen=$(HF_HUB_OFFLINE=1 "$dir/venv/bin/python" -W ignore - "$dir" <<'P' 2>/dev/null
import json, pathlib, sys
from tokenizers import Tokenizer
from transformers import AutoTokenizer

vocab = {"<s>": 0, "<pad>": 1, "</s>": 2, "<unk>": 3, "a": 4, "A": 5, "\u0120": 6, "<mask>": 7}
special = lambda content: {"id": vocab[content], "content": content, "single_word": False, "lstrip": content == "<mask>", "rstrip": False, "normalized": False, "special": True}
base = {
    "version": "1.0", "truncation": None, "padding": None, "added_tokens": [special(t) for t in ("<s>", "<pad>", "</s>", "<unk>", "<mask>")],
    "normalizer": {"type": "Lowercase"},
    "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True},
    "post_processor": {"type": "RobertaProcessing", "sep": ["</s>", 2], "cls": ["<s>", 0], "trim_offsets": True, "add_prefix_space": False},
    "decoder": None, "model": {"type": "BPE", "vocab": vocab, "merges": []},
}
def folder(name, **files):
    at = pathlib.Path(sys.argv[1]) / name
    at.mkdir()
    for file, content in files.items():
        (at / file.replace("__", ".")).write_text(content if isinstance(content, str) else json.dumps(content))
    return at
roberta = {"config__json": {"model_type": "roberta"}}
whole, two = folder("whole", tokenizer__json=base, **roberta), folder("two", vocab__json=vocab, merges__txt="#version: 0.2\n", **roberta)
print("Lowercase in tokenizer.json, read by Tokenizer.from_file:", Tokenizer.from_file(str(whole / "tokenizer.json")).encode("A").ids[1:-1])
print("the same folder, read by AutoTokenizer:", AutoTokenizer.from_pretrained(whole)("A")["input_ids"][1:-1])
for what, at in ("tokenizer.json", whole), ("vocab.json and merges.txt", two):
    print(f'"a <mask>" with {what}:', AutoTokenizer.from_pretrained(at)("a <mask>")["input_ids"][1:-1])
piece = lambda id, type_id: {"Sequence": {"id": id, "type_id": type_id}}
template = {"type": "TemplateProcessing", "single": [piece("A", 0)], "pair": [piece("A", 0), piece("B", 1)], "special_tokens": {}}
fast = folder("fast", tokenizer__json=base | {"post_processor": template}, tokenizer_config__json={"tokenizer_class": "PreTrainedTokenizerFast"}, config__json={"model_type": "bert"})
print("token types of a pair, by the file:", Tokenizer.from_file(str(fast / "tokenizer.json")).encode("a", "a").type_ids)
print("of PreTrainedTokenizerFast:", AutoTokenizer.from_pretrained(fast)("a", "a").get("token_type_ids", "none"))
P
)
echo "$seen"
grep '^#   ' "$0" | cut -c5- | diff - <(echo "$seen") && echo "as before"
