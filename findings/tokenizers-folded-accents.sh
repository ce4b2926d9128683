#!/bin/bash
# tokenizers 0.23.3, sentencepiece 0.2.3: SentencePiece's normalization (Precompiled) takes the
# shortest entry of its table for a whole grapheme. With a table that folds case (nmt_nfkc_cf) a
# capital letter is such an entry, so its combining accents are dropped; of small letters, and of
# letters in one character, they stay. SentencePiece itself takes the longest entry, and keeps
# them all.
#
#   E in one character with its accent: tokenizers U+00E9, sentencepiece U+00E9
#   E and a combining accent: tokenizers U+0065, sentencepiece U+00E9
#   e and a combining accent: tokenizers U+00E9, sentencepiece U+00E9
#
# Ends with 0 while it is so.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install -q tokenizers==0.23.3 sentencepiece==0.2.3 protobuf
seen=$("$dir/venv/bin/python" - <<'P'
import io
import sentencepiece
from sentencepiece import sentencepiece_model_pb2
from tokenizers.normalizers import Precompiled

model = io.BytesIO()
sentencepiece.SentencePieceTrainer.train(
    sentence_iterator=iter(["abc def ghi"] * 40), model_writer=model, vocab_size=14, model_type="char",
    normalization_rule_name="nmt_nfkc_cf", num_threads=1, minloglevel=2,
)
proto = sentencepiece_model_pb2.ModelProto()
proto.ParseFromString(model.getvalue())
python = Precompiled(proto.normalizer_spec.precompiled_charsmap)
own = sentencepiece.SentencePieceNormalizer(rule_name="nmt_nfkc_cf")
# Of SentencePiece's own, without the blank that it puts first.
points = lambda text: " ".join(f"U+{ord(c):04X}" for c in text)
for what, text in ("E in one character with its accent", "\u00c9"), ("E and a combining accent", "E\u0301"), ("e and a combining accent", "e\u0301"):
    print(f"{what}: tokenizers {points(python.normalize_str(text))}, sentencepiece {points(own.normalize(text)[1:])}")
P
)
echo "$seen"
grep '^#   ' "$0" | cut -c5- | diff - <(echo "$seen") && echo "as before"
