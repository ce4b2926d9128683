"""Writes test/fixtures/tokenizer/folders.json.gz: tokenizer folders in the forms that people have,
and what transformers' AutoTokenizer makes of them.

    pip install -r scripts/oracle/requirements.txt
    python scripts/oracle/make_folders_fixture.py --assets assets --out test/fixtures/tokenizer

Made with transformers 5.23.0 and tokenizers 0.23.3 (the versions are in the file). Every folder has
a config.json with its model_type beside the files that are stored.
"""

import argparse
import gzip
import importlib.metadata
import json
import pathlib
import tempfile

from transformers import AutoTokenizer

WORDS = "good bad film the Good Film cafe café na ##s ##ve ##ive . , ! - < > e ##1 ##> # 中 文 中文 a b c d x ##x İ i ##̇ <e1> hello".split()
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
VOCAB = "\n".join(SPECIAL + WORDS) + "\n"
N = len(SPECIAL + WORDS)
TEXTS = ["good <e2> bad", "Good films, café!", "cafe\u0301 naïve", "中文 film", "a[MASK]b <s> <mask> c", "x<e2>x <e2>", " <e2> [SEP] good", "<cls> good <sep>", "İ x", "", "good" * 3, "<e3>good <e3> a <e4>  b"]
PAIRS = [("good film", "bad"), ("a b c d", ""), ("a", "b c d a b c d")]
CUT = [("a b c d e good bad film", None, n) for n in (2, 3, 5, 8)] + [("a b c d good bad", "x x x bad film", n) for n in (3, 4, 6, 7, 8, 11)] + [("a b", "x x x a b c d", n) for n in (5, 7, 8)]


def token(content, **flags):
    return {"content": content, "lstrip": False, "normalized": False, "rstrip": False, "single_word": False, "special": True} | flags


def bert_json(lower=True, **more):
    vocab = {word: at for at, word in enumerate(SPECIAL + WORDS)}
    piece = lambda id, type_id=0: {"SpecialToken": {"id": id, "type_id": type_id}}
    text = lambda id, type_id=0: {"Sequence": {"id": id, "type_id": type_id}}
    single = [piece("[CLS]"), text("A"), piece("[SEP]")]
    return {
        "version": "1.0", "truncation": None, "padding": None,
        "added_tokens": [{"id": at, **token(content)} for at, content in enumerate(SPECIAL)],
        "normalizer": {"type": "BertNormalizer", "clean_text": True, "handle_chinese_chars": True, "strip_accents": None, "lowercase": lower},
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "post_processor": {"type": "TemplateProcessing", "single": single, "pair": single + [text("B", 1), piece("[SEP]", 1)],
                           "special_tokens": {t: {"id": t, "ids": [vocab[t]], "tokens": [t]} for t in ("[CLS]", "[SEP]")}},
        "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": True},
        "model": {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##", "max_input_chars_per_word": 100, "vocab": vocab},
    } | more


def bert_folders():
    vocab, config = {"vocab.txt": VOCAB}, "tokenizer_config.json"
    yield "vocab.txt", vocab
    for options in ({"do_lower_case": False}, {"strip_accents": False}, {"do_lower_case": False, "strip_accents": True}, {"tokenize_chinese_chars": False}, {"truncation_side": "left", "model_max_length": 7}, {"model_max_length": int(1e30)}):
        yield f"vocab.txt {options}", vocab | {config: options}
    yield "vocab.txt, lines that stand twice and blanks", {"vocab.txt": VOCAB + "good\nbad \n\nhello\t\n"}
    yield "added_tokens.json", vocab | {"added_tokens.json": {"<e3>": N + 1, "<e2>": N}}
    names = {"unk_token": "[UNK]", "additional_special_tokens": ["<e2>"]}
    yield "added_tokens.json, special_tokens_map.json", vocab | {"added_tokens.json": {"<e2>": N, "<e3>": N + 1}, "special_tokens_map.json": names}
    yield "special_tokens_map.json names new ones", vocab | {"special_tokens_map.json": {"additional_special_tokens": ["<e2>", "<e3>"], "mask_token": token("[MASK]", lstrip=True)}}
    decoder = {str(N): token("<e2>", lstrip=True), str(N + 1): token("<e3>", special=False, normalized=True, single_word=True), str(N + 2): token("<e4>", rstrip=True)}
    yield "added_tokens_decoder", vocab | {config: {"do_lower_case": True, "added_tokens_decoder": decoder}}
    yield "added_tokens_decoder and older files", vocab | {config: {"added_tokens_decoder": decoder}, "added_tokens.json": {"<e9>": N}, "special_tokens_map.json": {"additional_special_tokens": ["hello"]}}
    other = VOCAB.replace("[CLS]", "<cls>").replace("[SEP]", "<sep>")
    yield "other names", {"vocab.txt": other, config: {"cls_token": "<cls>", "sep_token": "<sep>"}}
    whole = {"tokenizer.json": bert_json()}
    yield "tokenizer.json", whole
    yield "tokenizer.json, cased", {"tokenizer.json": bert_json(lower=False), config: {"do_lower_case": False}}
    for options in ({"do_lower_case": False}, {"strip_accents": False}, {"tokenize_chinese_chars": False}):
        yield f"tokenizer.json {options}", whole | {config: options | {"tokenizer_class": "BertTokenizer"}}
    yield "tokenizer.json, a class without options", {"tokenizer.json": bert_json(lower=False), config: {"do_lower_case": True, "tokenizer_class": "PreTrainedTokenizerFast", "model_input_names": ["input_ids", "token_type_ids", "attention_mask"]}}
    yield "tokenizer.json, added_tokens_decoder", whole | {config: {"added_tokens_decoder": {str(at): token(t) for at, t in enumerate(SPECIAL)} | decoder}}
    cut = {"direction": "Left", "max_length": 5, "strategy": "LongestFirst", "stride": 0}
    yield "tokenizer.json, truncation left", {"tokenizer.json": bert_json(truncation=cut)}
    yield "tokenizer.json, truncation left, and right", {"tokenizer.json": bert_json(truncation=cut), config: {"truncation_side": "right"}}
    yield "tokenizer.json, no token types", whole | {config: {"model_input_names": ["input_ids", "attention_mask"]}}
    yield "tokenizer.json, special tokens as text", whole | {config: {"split_special_tokens": True}}


def roberta_folders(tiny):
    config = "tokenizer_config.json"

    content = json.loads(tiny.read_text())
    vocab = dict(list(content["model"]["vocab"].items())[:1500])
    merges = [m if isinstance(m, str) else " ".join(m) for m in content["model"]["merges"]]
    merges = [m for m in merges if all(part in vocab for part in m.split(" ")) and m.replace(" ", "") in vocab]

    vocab = {t: i for i, t in enumerate(["<s>", "<pad>", "</s>", "<unk>", *[t for t in vocab if t not in ("<s>", "<pad>", "</s>", "<unk>", "<mask>")], "<mask>"])}
    n = len(vocab)
    two = {"vocab.json": vocab, "merges.txt": "#version: 0.2\n" + "\n".join(merges) + "\n"}
    # transformers 5 leaves the blank before <mask> where only
    # these two files are; its model has it as tokenizer.json says.
    mask = {"mask_token": {"__type": "AddedToken"} | token("<mask>", lstrip=True)}
    yield "vocab.json, merges.txt", two | {config: mask}
    yield "vocab.json, merges.txt, add_prefix_space", two | {config: mask | {"add_prefix_space": True}}
    yield "vocab.json, merges.txt, truncation_side left", two | {config: mask | {"truncation_side": "left", "model_max_length": 512}}
    yield "vocab.json, merges.txt, added_tokens.json", two | {config: mask, "added_tokens.json": {"<e2>": n, "<e3>": n + 1}}
    whole = content | {"model": content["model"] | {"vocab": vocab, "merges": merges}, "added_tokens": [{"id": vocab[t], **token(t, lstrip=t == "<mask>")} for t in ("<s>", "<pad>", "</s>", "<unk>", "<mask>")]}
    # RobertaTokenizer of transformers 5 takes vocabulary and
    # merges of the file alone, so the rest is its own.
    whole |= {"normalizer": None, "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}}
    whole["post_processor"] = {"type": "RobertaProcessing", "sep": ["</s>", 2], "cls": ["<s>", 0], "trim_offsets": True, "add_prefix_space": False}
    yield "tokenizer.json of RoBERTa", {"tokenizer.json": whole}
    yield "tokenizer.json of RoBERTa, add_prefix_space", {"tokenizer.json": whole, config: {"add_prefix_space": True, "tokenizer_class": "RobertaTokenizer"}}


def describe(model_type, files):
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        for name, content in (files | {"config.json": {"model_type": model_type}}).items():
            (folder / name).write_text(content if isinstance(content, str) else json.dumps(content))
        tokenizer = AutoTokenizer.from_pretrained(folder)
        zeros = lambda encoded: encoded.get("token_type_ids", [[0] * len(encoded["input_ids"][0])])[0]
        known = {"truncationSide": tokenizer.truncation_side, "modelMaxLength": tokenizer.model_max_length if tokenizer.model_max_length < 1e20 else None, "size": len(tokenizer)}
        known["ids"] = [tokenizer(text)["input_ids"] for text in TEXTS]
        pairs = [tokenizer([a], [b]) for a, b in PAIRS]
        known["pairs"] = [{"ids": e["input_ids"][0], "types": zeros(e)} for e in pairs]
        cut = lambda a, b, n: tokenizer([a], None if b is None else [b], truncation="longest_first", max_length=n)["input_ids"][0]
        known["cut"] = [cut(*row) if row[2] >= tokenizer.num_special_tokens_to_add(row[1] is not None) else None for row in CUT]
        return known


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--assets", required=True, help="folder with tiny-roberta/")
    parser.add_argument("--out", required=True)
    args = parser.parse_args()
    folders = [("bert", *each) for each in bert_folders()]
    folders += [("roberta", *each) for each in roberta_folders(pathlib.Path(args.assets) / "tiny-roberta" / "tokenizer.json")]
    out = [{"name": name, "files": files} | describe(model_type, files) for model_type, name, files in folders]
    head = {"madeBy": "scripts/oracle/make_folders_fixture.py", "versions": {p: importlib.metadata.version(p) for p in ("transformers", "tokenizers")}}
    content = json.dumps(head | {"texts": TEXTS, "pairs": PAIRS, "cut": CUT, "folders": out}, separators=(",", ":")).encode()
    path = pathlib.Path(args.out) / "folders.json.gz"
    path.write_bytes(gzip.compress(content, 9, mtime=0))
    print(len(out), "folders,", path.stat().st_size, "bytes")


if __name__ == "__main__":
    main()
