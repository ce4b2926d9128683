"""Trains the byte-level BPE vocabulary of the tiny RoBERTa
(maintainers only; users need no Python).
The encoder: scripts/pretrain-tiny.mjs.

    pip install -r scripts/tiny-model/requirements.txt
    python train_tokenizer.py --text <data>/imdb/unsup.txt.gz --out assets/tiny-roberta

Ids as in RoBERTa: <s> 0, <pad> 1, </s> 2, <unk> 3, the 256 byte symbols, merges, <mask> last. Text
is lower-cased and a space put in front: with 6,144 entries a word should be one token wherever it
stands and however it is written. The result is a function of the text and the package version
alone. It holds subwords, no text.
"""

import argparse
import gzip
import json
import pathlib

from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

SPECIALS = ["<s>", "<pad>", "</s>", "<unk>"]
MASK = "<mask>"


def lines(path, limit):
    with gzip.open(path, "rt", encoding="utf-8") as file:
        for number, line in enumerate(file):
            if limit is not None and number >= limit:
                return
            yield line.rstrip("\n")


def train(text, vocab_size, limit):
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size - 1,  # <mask> comes last
        min_frequency=2,
        special_tokens=SPECIALS,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(lines(text, limit), trainer)
    tokenizer.post_processor = processors.RobertaProcessing(
        ("</s>", 2), ("<s>", 0), trim_offsets=True, add_prefix_space=True
    )
    return tokenizer


def with_mask(tokenizer):
    """RoBERTa's own files carry <mask> in the vocabulary and
    as an added token that eats the space before it.
    """
    content = json.loads(tokenizer.to_str())
    content["model"]["vocab"][MASK] = len(content["model"]["vocab"])
    tokenizer = Tokenizer.from_str(json.dumps(content))
    tokenizer.add_special_tokens([AddedToken(MASK, lstrip=True, normalized=False, special=True)])
    return tokenizer


def check(tokenizer, vocab_size):
    assert tokenizer.get_vocab_size() == vocab_size, tokenizer.get_vocab_size()
    assert [tokenizer.token_to_id(t) for t in SPECIALS] == [0, 1, 2, 3]
    assert tokenizer.token_to_id(MASK) == vocab_size - 1
    pair = tokenizer.encode("a", "b").tokens
    assert pair == ["<s>", "Ġa", "</s>", "</s>", "Ġb", "</s>"], pair
    text = " naïve 😀 café\t日本"
    assert tokenizer.decode(tokenizer.encode(text).ids) == text


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--text", required=True, help="gzipped text, one document a line")
    parser.add_argument("--out", required=True)
    parser.add_argument("--vocab-size", type=int, default=6144)
    parser.add_argument("--max-length", type=int, default=128)
    parser.add_argument("--limit", type=int, help="use only so many lines")
    args = parser.parse_args()

    tokenizer = with_mask(train(args.text, args.vocab_size, args.limit))
    check(tokenizer, args.vocab_size)
    out = pathlib.Path(args.out)
    out.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(out / "tokenizer.json"), pretty=False)
    config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": args.max_length,
        "model_input_names": ["input_ids", "attention_mask"],
        "bos_token": "<s>",
        "cls_token": "<s>",
        "pad_token": "<pad>",
        "eos_token": "</s>",
        "sep_token": "</s>",
        "unk_token": "<unk>",
        "mask_token": MASK,
        "clean_up_tokenization_spaces": False,
    }
    (out / "tokenizer_config.json").write_text(json.dumps(config, indent=2) + "\n")
    print(f"{args.vocab_size} entries, {(out / 'tokenizer.json').stat().st_size} bytes")


if __name__ == "__main__":
    main()
