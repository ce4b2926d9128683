#!/bin/bash
# seqeval 1.2.2 on Python 3.11: f1_score(y_true, y_pred) reads tags of BILOU (spaCy, Prodigy) as
# part of one entity instead of refusing them. Its default mode knows B, I, E and S; of L and U it
# warns ("U-PER seems not to be NE tag"), goes on, and joins entities of one type that stand side by
# side. Three entities (B I L, U, U) become one, so a score over them is another number:
#
#   default: [('PER', 0, 4)]
#   scheme BILOU: [('PER', 0, 3), ('PER', 3, 4), ('PER', 4, 5)]
#   f1 of a prediction with two of three right: default 0.00, strict BILOU 0.67
#
# Ends with 0 while it is so. mode='strict', scheme=BILOU gives the entities.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install -q seqeval==1.2.2 scikit-learn==1.9.1
seen=$("$dir/venv/bin/python" -W ignore - <<'P'
from seqeval.metrics import f1_score
from seqeval.metrics.sequence_labeling import get_entities
from seqeval.scheme import BILOU, Entities
tags = ["B-PER", "I-PER", "L-PER", "U-PER", "U-PER", "O"]
wrong = ["B-PER", "I-PER", "L-PER", "U-PER", "O", "U-PER"]
print("default:", get_entities(tags))
print("scheme BILOU:", [(e.tag, e.start, e.end) for e in Entities([tags], BILOU).entities[0]])
strict = f1_score([tags], [wrong], mode="strict", scheme=BILOU)
print(f"f1 of a prediction with two of three right: default {f1_score([tags], [wrong]):.2f}, strict BILOU {strict:.2f}")
P
)
echo "$seen"
grep '^#   ' "$0" | cut -c5- | diff - <(echo "$seen") && echo "as before"
