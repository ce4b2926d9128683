"""Writes test/fixtures/tokenizer/xlm-roberta: a small SentencePiece tokenizer in XLM-R's form, and
ids that the tokenizers package gives.
Other tokenizers: make_tokenizer_fixture.py.

    pip install -r scripts/oracle/requirements.txt sentencepiece==0.2.3
    python scripts/oracle/make_unigram_fixture.py --out test/fixtures/tokenizer/xlm-roberta

Trained with SentencePiece (unigram, nmt_nfkc as XLM-R) on texts of sentences.py, and written as
tokenizer.json as transformers' converter does: <s> 0, <pad> 1, </s> 2, <unk> 3, the pieces, <mask>
last. Published files come in two forms, which split white space differently: both are checked.
"""

import argparse
import base64
import gzip
import importlib.metadata
import io
import json
import pathlib
import random

import sentencepiece
import transformers
from sentencepiece import sentencepiece_model_pb2
from tokenizers import Tokenizer

from make_tokenizer_fixture import digest, encode, encode_words, make_sentences
from sentences import EMOJI, SCRIPTS, make_cases, sentence

VOCAB = 1200


def train():
    rng = random.Random(11)
    lines = [sentence(rng) for _ in range(4000)] + SCRIPTS * 20 + EMOJI * 4
    lines = [" ".join(line.replace("\0", " ").split()) for line in lines]
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(line for line in lines if line),
        model_writer=model,
        vocab_size=VOCAB,
        model_type="unigram",
        normalization_rule_name="nmt_nfkc",
        character_coverage=0.9995,
        num_threads=1,
        minloglevel=2,
    )
    proto = sentencepiece_model_pb2.ModelProto()
    proto.ParseFromString(model.getvalue())
    return proto


def token(index, content, lstrip=False):
    return {"id": index, "content": content, "single_word": False, "lstrip": lstrip, "rstrip": False, "normalized": False, "special": True}


def xlm_roberta(proto):
    # SentencePiece's own first three (<unk>, <s>, </s>) give way to fairseq's four.
    vocab = [["<s>", 0.0], ["<pad>", 0.0], ["</s>", 0.0], ["<unk>", 0.0]]
    vocab += [[piece.piece, piece.score] for piece in proto.pieces[3:]] + [["<mask>", 0.0]]
    special = lambda content, type_id=0: {"SpecialToken": {"id": content, "type_id": type_id}}
    text = lambda name: {"Sequence": {"id": name, "type_id": 0}}
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [*(token(i, vocab[i][0]) for i in range(4)), token(len(vocab) - 1, "<mask>", lstrip=True)],
        "normalizer": {
            "type": "Precompiled",
            "precompiled_charsmap": base64.b64encode(proto.normalizer_spec.precompiled_charsmap).decode(),
        },
        "pre_tokenizer": {
            "type": "Sequence",
            "pretokenizers": [
                {"type": "WhitespaceSplit"},
                {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": True},
            ],
        },
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [special("<s>"), text("A"), special("</s>")],
            "pair": [special("<s>"), text("A"), special("</s>"), special("</s>"), text("B"), special("</s>")],
            "special_tokens": {name: {"id": name, "ids": [i], "tokens": [name]} for name, i in (("<s>", 0), ("</s>", 2))},
        },
        "decoder": {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": True},
        "model": {"type": "Unigram", "unk_id": 3, "vocab": vocab, "byte_fallback": False},
    }


def converted(content):
    """The form that transformers' converter writes: white space
    is squeezed, and words are not split before the model.
    """
    squeeze = {"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": " "}
    return content | {
        "normalizer": {"type": "Sequence", "normalizers": [content["normalizer"], squeeze]},
        "pre_tokenizer": {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": True},
    }


def load(content):
    specials = {"bos_token": "<s>", "cls_token": "<s>", "eos_token": "</s>", "sep_token": "</s>"}
    specials |= {"pad_token": "<pad>", "unk_token": "<unk>", "mask_token": "<mask>"}
    return transformers.PreTrainedTokenizerFast(tokenizer_object=Tokenizer.from_str(json.dumps(content)), **specials)


def write(path, value):
    path.write_bytes(gzip.compress(json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode(), 9, mtime=0))
    print(path.name, path.stat().st_size, "bytes")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", required=True)
    out = pathlib.Path(parser.parse_args().out)
    out.mkdir(parents=True, exist_ok=True)
    content = xlm_roberta(train())
    forms = {"split": load(content), "converted": load(converted(content))}
    # The texts are those of cases.json.gz and words.json.gz beside it, in their order.
    cases, sentences = make_cases(), make_sentences()
    ids = {}
    for name, tokenizer in forms.items():
        ids[name] = {
            "cases": [digest(sum(encode(tokenizer, case), [])) for case in cases],
            "sentences": [digest(sum(encode_words(tokenizer, case), [])) for case in sentences],
        }
    known = {text: forms["split"](text)["input_ids"] for text in ("a good film", "Straße ﬁn…", "日本語テスト 😀")}
    known_pair = forms["split"]("good", "bad")["input_ids"]
    head = {"madeBy": "scripts/oracle/make_unigram_fixture.py"}
    head["versions"] = {p: importlib.metadata.version(p) for p in ("transformers", "tokenizers", "sentencepiece")}
    write(out / "tokenizer.json.gz", content)
    write(out / "ids.json.gz", head | {"hashes": ids, "known": known, "knownPair": known_pair})


if __name__ == "__main__":
    main()
