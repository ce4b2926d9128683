#!/bin/bash
# PEFT 0.21.2 (torch 2.15.0, transformers 5.23.0): the keys of rank_pattern and alpha_pattern are
# set into another regular expression, (.*\.)?(KEY)$, before they are matched. So groups in a key
# are counted from 3, a reference \1 means PEFT's own prefix, and flags such as (?i) stand behind
# the start, which Python 3.11 and newer refuse. target_modules as a string is matched as it is,
# and takes both.
#
#   rank_pattern (?P<q>q)uery.*: rank 4
#   rank_pattern (e)ncod\1r.*: rank 2
#   rank_pattern (e)ncod\3r.*: rank 4
#   rank_pattern (?i)QUERY: error: global flags not at the start of the expression
#   target_modules (?i).*QUERY: rank 2
#
# Ends with 0 while it is so. Named groups, and flags for a part as in (?i:QUERY), mean what they
# say.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install -q peft==0.21.2 torch==2.15.0 transformers==5.23.0
seen=$(HF_HUB_OFFLINE=1 "$dir/venv/bin/python" -W ignore - <<'P'
from peft import LoraConfig, get_peft_model
from transformers import BertConfig, BertModel

config = BertConfig(vocab_size=20, hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=8, max_position_embeddings=8)
def show(what, **fields):
    try:
        model = get_peft_model(BertModel(config), LoraConfig(**({"r": 2, "target_modules": ["query"]} | fields)))
        rank = next(p.shape[0] for n, p in model.named_parameters() if "query.lora_A" in n)
        print(f"{what}: rank {rank}")
    except Exception as error:
        print(f"{what}: {type(error).__name__}: {str(error).split(' at position')[0]}".replace("PatternError", "error"))
for key in r"(?P<q>q)uery.*", r"(e)ncod\1r.*", r"(e)ncod\3r.*", "(?i)QUERY":
    show(f"rank_pattern {key}", rank_pattern={key: 4})
show("target_modules (?i).*QUERY", target_modules="(?i).*QUERY")
P
)
echo "$seen"
grep '^#   ' "$0" | cut -c5- | diff - <(echo "$seen") && echo "as before"
