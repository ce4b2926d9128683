"""Writes test/fixtures/tokenizer/components.json.gz: ids of
Python's tokenizers for each component that tokenizer.json can hold.

    pip install -r scripts/oracle/requirements.txt sentencepiece==0.2.3
    python scripts/oracle/make_components_fixture.py --out test/fixtures/tokenizer

Made with tokenizers 0.23.3 and sentencepiece 0.2.3 (the versions are in the file). A case is a
whole tokenizer.json, texts and their ids. Its model is mostly a WordPiece whose vocabulary has
every character that comes out of the pre-tokenizer, as the start of a word and inside of one, so
that the ids show the normalized text and where it was cut.
"""

import argparse
import base64
import gzip
import importlib.metadata
import io
import json
import pathlib
import random
import tempfile

import sentencepiece
from sentencepiece import sentencepiece_model_pb2
from tokenizers import Regex, Tokenizer, normalizers, pre_tokenizers

from sentences import EMOJI, SCRIPTS, sentence

ODD = [
    "", " ", "  ", "a", " a ", "Hello, World!", "  two  blanks  ", "tab\tline\nfeed\r\nreturn\x0bvt\x0cff",
    "next\x85line", "\ufeffbom\ufeff in\ufeffside", "nb\u00a0sp zero\u200bwidth\u200djoin\u2060er soft\u00adhyphen",
    "thin\u2009em\u2003ideo\u3000graphic line\u2028par\u2029sep", "ΟΔΥΣΣΕΥΣ ΣΑΣ Σ αΣ.", "İstanbul DİYARBAKIR ıI", "STRASSE ẞ ß ŉ ǰ",
    "cafe\u0301 naïve e\u0323\u0302 \u1ec7 a\u0328\u0301 o\u0308\u0304", "\u0301start of a mark", "Å \u212b \u2126 ﬁ ﬃ ½ ² ① Ⅷ ℌ ﷺ",
    "e\u0301\u0301\u0301 q\u0307\u0323 \u0344", "한국어 \u1112\u1161\u11ab\u1100\u1173\u11af 各 \u304b\u3099 ｶﾞ", "नमस्ते क्षत्रिय க்ஷ தமிழ் ภาษาไทย",
    "中文字符 日本語テスト 𠀀𪛖\U0002b81e\U0002ceb0 豈更 ㈱ ー", "..", "wait...what?!", "a--b---c", "-a-", "--", "a.b,c;d", "¿qué? «oui» „nein“ 「はい」",
    "$5 + 3 = 8 < 9 ^ `x` ~y |z|", "1234 5.678 9th x2y ٣٤ ½x ²y Ⅷz 一二", "don't I'll they've 'S 'LL", "user_name @you #tag a/b\\c",
    "𝒜𝓁𝓅𝒽𝒶 𝟘𝟙", "👩‍👩‍👧 👍🏽 🇩🇪 e\u20e3", "a\u0000b c\ufffdd", "\U0001e900\U0001e922 \u10d0\u1c90", "x" * 120, "ab" * 30, "▁a▁▁b ▁", "a ▁b",
    "\u1734\u1171e \u0cbf \u0c3c \u1ab0 \u0898 \u1e08f", "\u061c\u2066rtl\u2069 עברית العربيّة", "mixedDOGcase", "[CLS] a [SEP] [MASK]",
]


def texts(seed):
    rng = random.Random(seed)
    generated = [sentence(rng) for _ in range(12)]
    pool = [c for text in ODD + SCRIPTS + EMOJI for c in text] + list(" .,-'a1\n") * 40
    return ODD + SCRIPTS + EMOJI + generated + ["".join(rng.choices(pool, k=rng.randrange(1, 24))) for _ in range(60)]


NONE = {"version": "1.0", "truncation": None, "padding": None, "added_tokens": [], "normalizer": None, "pre_tokenizer": None, "post_processor": None, "decoder": None}


def word_piece(pieces):
    """Characters of the pieces, as starts and as continuations;
    1 in 8 is missing, so that there are unknown words.
    """
    rest = sorted({c for piece in pieces for c in piece})
    vocab = {"[UNK]": 0, "[CLS]": 1, "[SEP]": 2}
    for at, c in enumerate(rest):
        if at % 8 == 7 and not c.isascii():
            continue
        vocab.setdefault(c, len(vocab))
        vocab.setdefault("##" + c, len(vocab))
    return {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##", "max_input_chars_per_word": 200, "vocab": vocab}


def seen(content, given):
    """What comes to the model."""
    tokenizer = Tokenizer.from_str(json.dumps(content | {"model": {"type": "WordLevel", "unk_token": "u", "vocab": {"u": 0}}}))
    normalize = tokenizer.normalizer.normalize_str if tokenizer.normalizer else lambda text: text
    split = tokenizer.pre_tokenizer.pre_tokenize_str if tokenizer.pre_tokenizer else lambda text: [(text, None)]
    return [piece for text in given for piece, _ in split(normalize(text))]


class Cases:
    def __init__(self):
        self.cases = []

    def add(self, covers, texts, pairs=(), words=(), decode=False, **content):
        """`covers`: components of src/data/tokenize/components.ts that the case is proof of."""
        content = NONE | content
        content.setdefault("model", word_piece(seen(content, list(texts) + [t for p in pairs for t in p] + [w for s in words for w in s])))
        tokenizer = Tokenizer.from_str(json.dumps(content))
        case = {"covers": covers, "tokenizer": content, "texts": list(texts)}
        case["ids"] = [tokenizer.encode(text).ids for text in texts]
        if pairs:
            case["pairs"] = [{"texts": list(pair), "ids": e.ids, "types": e.type_ids} for pair in pairs for e in [tokenizer.encode(*pair)]]
        if words:
            encoded = [tokenizer.encode(list(sentence), is_pretokenized=True) for sentence in words]
            case["words"] = [{"words": list(s), "ids": e.ids, "wordIds": [-1 if w is None else w for w in e.word_ids]} for s, e in zip(words, encoded)]
        if decode:
            case["decoded"] = [tokenizer.decode(ids, skip_special_tokens=True) for ids in case["ids"]]
        self.cases.append(case)


def bert(clean=True, chinese=True, accents=None, lower=True):
    return {"type": "BertNormalizer", "clean_text": clean, "handle_chinese_chars": chinese, "strip_accents": accents, "lowercase": lower}


def sequence(*steps, kind="pretokenizers"):
    return {"type": "Sequence", kind: list(steps)}


def split(pattern, behavior, invert=False, kind="Regex"):
    return {"type": "Split", "pattern": {kind: pattern}, "behavior": behavior, "invert": invert}


def metaspace(scheme, split=True, replacement="▁"):
    return {"type": "Metaspace", "replacement": replacement, "prepend_scheme": scheme, "split": split}


def token(id, content, **flags):
    return {"id": id, "content": content, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True} | flags


SPACE_SPLIT, BERT_SPLIT = {"type": "WhitespaceSplit"}, {"type": "BertPreTokenizer"}
BEHAVIORS = ["Removed", "Isolated", "MergedWithPrevious", "MergedWithNext", "Contiguous"]
BYTES = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}


def add_normalizers(cases, given, charsmap):
    flags = [(True, True, None, True), (True, True, None, False), (False, False, False, True), (False, False, True, False), (False, True, True, True), (True, False, False, False)]
    for each in flags:
        cases.add(["normalizer.BertNormalizer", "pre_tokenizer.BertPreTokenizer"], given, normalizer=bert(*each), pre_tokenizer=BERT_SPLIT)
    for name in ("NFC", "NFD", "NFKC", "NFKD", "Lowercase", "StripAccents", "Nmt", "ByteLevel"):
        cases.add([f"normalizer.{name}", "pre_tokenizer.WhitespaceSplit"], given, normalizer={"type": name}, pre_tokenizer=SPACE_SPLIT)
    for left, right in ((True, True), (True, False), (False, True)):
        cases.add(["normalizer.Strip"], given, normalizer={"type": "Strip", "strip_left": left, "strip_right": right})
    cases.add(["normalizer.Prepend"], given, normalizer={"type": "Prepend", "prepend": "▁x"})
    replacements = [({"String": " "}, "▁"), ({"String": "."}, " <dot> "), ({"Regex": " {2,}"}, " "), ({"Regex": r"\p{Nd}"}, "0"), ({"Regex": r"\s+"}, ""), ({"Regex": "``|''"}, '"')]
    for pattern, content in replacements:
        cases.add(["normalizer.Replace"], given, normalizer={"type": "Replace", "pattern": pattern, "content": content}, pre_tokenizer=SPACE_SPLIT)
    both = sequence({"type": "NFKD"}, {"type": "StripAccents"}, {"type": "Lowercase"}, {"type": "Nmt"}, kind="normalizers")
    cases.add(["normalizer.Sequence"], given, normalizer=both, pre_tokenizer=SPACE_SPLIT)
    marked = given + ["A\u0301B E\u0301 e\u0301 \u00c9", "AE ae", "\u00ad\u00ada\u00ad", "\u1112\u1161\u11ab"]
    for each, some in ((charsmap, given), (folding_charsmap(), marked)):
        cases.add(["normalizer.Precompiled"], some, normalizer={"type": "Precompiled", "precompiled_charsmap": each}, pre_tokenizer=SPACE_SPLIT)


def folding_charsmap():
    """A map that folds case, as those of uncased SentencePiece
    models do; some of what it replaces is longer than one character.
    """
    rules = ["41\t61", "45\t65", "C9\te9", "65 301\tE9", "FB01\t66 69", "DF\t73 73", "2581\t20", "9\t20", "AD\t", "1F600\t3A 29", "1112 1161\tD558"]
    with tempfile.NamedTemporaryFile("w", suffix=".tsv") as file:
        file.write("\n".join(rules) + "\n")
        file.flush()
        model = io.BytesIO()
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(["abc def ghi"] * 40), model_writer=model, vocab_size=14, model_type="char", normalization_rule_tsv=file.name, num_threads=1, minloglevel=2
        )
    proto = sentencepiece_model_pb2.ModelProto()
    proto.ParseFromString(model.getvalue())
    return base64.b64encode(proto.normalizer_spec.precompiled_charsmap).decode()


def add_pre_tokenizers(cases, given):
    words = [["Hello", "don't", "", " ", "x y"], ["one"], ["é", "中文", "a-b", "."]]
    for behavior in BEHAVIORS:
        cases.add(["pre_tokenizer.Punctuation"], given, pre_tokenizer={"type": "Punctuation", "behavior": behavior})
        for invert in (False, True):
            for pattern in (r"\s+", r"-", r"\w+|[^\w\s]+", r"x*", r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"):
                cases.add(["pre_tokenizer.Split"], given, pre_tokenizer=split(pattern, behavior, invert))
            cases.add(["pre_tokenizer.Split"], given, pre_tokenizer=split(".", behavior, invert, "String"))
    for alone in (True, False):
        cases.add(["pre_tokenizer.Digits"], given, pre_tokenizer={"type": "Digits", "individual_digits": alone})
    for prefix in (True, False):
        for regex in (True, False):
            cases.add(["pre_tokenizer.ByteLevel"], given, pre_tokenizer=BYTES | {"add_prefix_space": prefix, "use_regex": regex}, words=words if prefix else ())
    for scheme in ("always", "never", "first"):
        for cut in (True, False):
            cases.add(["pre_tokenizer.Metaspace"], given, pre_tokenizer=metaspace(scheme, cut), words=words)
    cases.add(["pre_tokenizer.Metaspace"], given, pre_tokenizer=metaspace("always", replacement="_"))
    for before in (SPACE_SPLIT, {"type": "Punctuation", "behavior": "Isolated"}, {"type": "Digits", "individual_digits": True}):
        for scheme in ("first", "always", "never"):
            cases.add(["pre_tokenizer.Metaspace", "pre_tokenizer.Sequence"], given, pre_tokenizer=sequence(before, metaspace(scheme)), words=words)
    for change in ({"type": "NFKD"}, {"type": "Lowercase"}, {"type": "Prepend", "prepend": "x"}):
        cases.add(["pre_tokenizer.Metaspace"], given, normalizer=change, pre_tokenizer=metaspace("first"))
    cases.add(["pre_tokenizer.FixedLength"], given, pre_tokenizer={"type": "FixedLength", "length": 3})
    cases.add(["pre_tokenizer.CharDelimiterSplit"], given, pre_tokenizer={"type": "CharDelimiterSplit", "delimiter": "-"})
    for name in ("Whitespace", "WhitespaceSplit", "BertPreTokenizer"):
        cases.add([f"pre_tokenizer.{name}"], given, pre_tokenizer={"type": name}, words=words)
    cases.add(["pre_tokenizer.Sequence"], given, pre_tokenizer=sequence({"type": "Whitespace"}, {"type": "Digits", "individual_digits": True}, BYTES))


def add_models(cases, given, charsmap):
    alphabet = "abcdefghijklmnopqrstuvwxyz"
    # No special tokens, and not all letters: what is unknown is as the options say.
    vocab = {c: i for i, c in enumerate(alphabet[:20])} | {"ab": 20, "abc": 21, "bc": 22, "<unk>": 23, "the": 24, "th": 25, "he": 26, "[x]": 27, "abab": 28}
    merges = [["a", "b"], ["b", "c"], ["ab", "c"], ["t", "h"], ["a", "bc"], ["h", "e"], ["th", "e"], ["ab", "ab"]]
    options = [{}, {"unk_token": "<unk>"}, {"unk_token": "<unk>", "fuse_unk": True}, {"ignore_merges": True}]
    some = list(given) + ["abcabc", "abababab", "zzab zz ab z", "thethe the", "abzcab", "aazzbb", "[x]", "yzab"]
    for each in options:
        for lines in (merges, [" ".join(m) for m in merges]):
            model = {"type": "BPE", "vocab": vocab, "merges": lines} | each
            cases.add(["model.BPE"], some, model=model, pre_tokenizer={"type": "Whitespace"})
    byte_vocab = vocab | {f"<0x{b:02X}>": 30 + b for b in range(256) if b != 0x82}
    for each in options[1:3]:
        cases.add(["model.BPE"], some, model={"type": "BPE", "vocab": byte_vocab, "merges": merges, "byte_fallback": True} | each, pre_tokenizer={"type": "Whitespace"})
    suffixed = vocab | {c + "</w>": 300 + i for i, c in enumerate(alphabet)} | {"ab</w>": 340, "abc</w>": 341}
    cases.add(["model.BPE"], some, model={"type": "BPE", "vocab": suffixed, "merges": [["a", "b</w>"], ["a", "b"], ["ab", "c</w>"]], "end_of_word_suffix": "</w>", "unk_token": "<unk>"}, pre_tokenizer={"type": "Whitespace"})
    prefixed = vocab | {"##" + c: 300 + i for i, c in enumerate(alphabet)} | {"##bc": 340}
    cases.add(["model.BPE"], some, model={"type": "BPE", "vocab": prefixed, "merges": [["a", "##b"], ["##b", "##c"], ["ab", "##c"]], "continuing_subword_prefix": "##", "unk_token": "<unk>"}, pre_tokenizer={"type": "Whitespace"})
    untyped = {"dropout": None, "unk_token": "<unk>", "continuing_subword_prefix": None, "end_of_word_suffix": None, "fuse_unk": False, "vocab": vocab, "merges": merges}
    cases.add(["model.BPE"], some, model=untyped, pre_tokenizer={"type": "Whitespace"})

    words = {"<unk>": 0, "the": 1, "film": 2, "is": 3, ".": 4, "good": 5}
    plain = ["the film is good.", "the fill is god", "", "is it?", "film film"]
    for model in ({"type": "WordLevel", "vocab": words, "unk_token": "<unk>"}, {"vocab": words, "unk_token": "<unk>"}):
        cases.add(["model.WordLevel"], plain, model=model, pre_tokenizer={"type": "Whitespace"})

    pieces = {"[UNK]": 0, "un": 1, "##aff": 2, "##able": 3, "a": 4, "##a": 5, "ab": 6, "##b": 7, "##": 8, "é": 9, "##é": 10, "😀": 11, "##😀": 12}
    tried = ["unaffable", "unaffablex", "aaaaaaaaaaaaab", "aaaaaaaaaaa", "ab ba abb", "éa aé 😀😀", "😀x", "a" * 12 + " b"]
    for longest in (10, 100):
        model = {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##", "max_input_chars_per_word": longest, "vocab": pieces}
        cases.add(["model.WordPiece"], tried, model=model, pre_tokenizer={"type": "Whitespace"})

    rng = random.Random(3)
    entries = [["<unk>", 0.0]] + [[c, -3.0 - rng.random()] for c in "▁" + alphabet[:20]]
    entries += [[w, round(-4 - 3 * rng.random(), 3)] for w in ("ab", "abc", "bc", "the", "th", "he", "▁the", "▁a", "ing", "film", "▁film", "ca", "cab")] + [["cb", -6.5], ["bb", -6.5]]
    for fallback in (False, True):
        vocab = entries + ([[f"<0x{b:02X}>", -12.0] for b in range(256)] if fallback else [])
        model = {"type": "Unigram", "unk_id": 0, "vocab": vocab, "byte_fallback": fallback}
        for pre in ({"type": "Whitespace"}, metaspace("always"), metaspace("always", False), None):
            cases.add(["model.Unigram"], some + ["xyz xyz", "the film", "<unk> x<unk>", "zzz abc zz"], model=model, pre_tokenizer=pre)


def add_post_processors(cases):
    vocab = {"[UNK]": 0, "[CLS]": 1, "[SEP]": 2, "a": 3, "b": 4, "<s>": 5, "</s>": 6}
    model = {"type": "WordLevel", "vocab": vocab, "unk_token": "[UNK]"}
    pairs = [("a b", "b"), ("a", ""), ("", "b"), ("", "")]
    sp = lambda name, type_id=0: {"SpecialToken": {"id": name, "type_id": type_id}}
    sq = lambda name, type_id=0: {"Sequence": {"id": name, "type_id": type_id}}
    specials = {"[CLS]": {"id": "[CLS]", "ids": [1], "tokens": ["[CLS]"]}, "[SEP]": {"id": "[SEP]", "ids": [2, 6], "tokens": ["[SEP]", "</s>"]}}
    template = lambda single, pair: {"type": "TemplateProcessing", "single": single, "pair": pair, "special_tokens": specials}
    usual = template([sp("[CLS]"), sq("A"), sp("[SEP]")], [sp("[CLS]"), sq("A"), sp("[SEP]"), sq("B", 1), sp("[SEP]", 1)])
    tails = {"trim_offsets": True, "add_prefix_space": False}
    each = {
        "TemplateProcessing": usual,
        "BertProcessing": {"type": "BertProcessing", "sep": ["[SEP]", 2], "cls": ["[CLS]", 1]},
        "RobertaProcessing": {"type": "RobertaProcessing", "sep": ["</s>", 6], "cls": ["<s>", 5]} | tails,
        "ByteLevel": BYTES,
        "Sequence": sequence(BYTES, usual, kind="processors"),
    }
    for name, processor in each.items():
        cases.add([f"post_processor.{name}"], ["a b", "", "b"], pairs, model=model, pre_tokenizer={"type": "Whitespace"}, post_processor=processor, words=[["a", "b"], []])
    turned = template([sq("A", 1), sp("[SEP]")], [sq("B", 3), sp("[SEP]", 2), sq("A"), sp("[CLS]", 5)])
    doubled = template([sq("A"), sp("[SEP]"), sp("[CLS]")], [sp("[CLS]"), sq("A", 1), sq("B", 1)])
    for processor in (None, turned, doubled):
        cases.add(["post_processor.TemplateProcessing"], ["a b", ""], pairs, model=model, pre_tokenizer={"type": "Whitespace"}, post_processor=processor)


def add_added_tokens(cases):
    texts = [
        "<e>", "a<e>b", "a <e> b", " <e> ", "<e><e>", "a<e> <e>b", "x <E> y", "good<e>", "<e>good", "<e>.", "é<e>", "<e>é", "<e>\u0301", "²<e>", "_<e>", "\u200d<e>", "中<e>", "a\t<e>\nb",
        "a \u00a0<e>\u3000b", "<e>   <f>", "<f> <e>", "<e <e>>", "<ee> <e>", "GOOD good", "goodness good", "a b  c", "<f>\ufeff<e>\x85<f>", "Ünï <Ü> ünï", "<e>" * 5, "😀<e>😀",
    ]
    base = ["[UNK]", "a", "b", "good", "##good", "<", "##e", "##>", "x", "y"]
    vocab = {c: i for i, c in enumerate(dict.fromkeys(base + [c for t in texts for c in t.lower()] + ["##" + c for t in texts for c in t.lower()]))}
    model = {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##", "max_input_chars_per_word": 100, "vocab": vocab}
    n = len(vocab)
    flags = [{}, {"lstrip": True}, {"rstrip": True}, {"lstrip": True, "rstrip": True}, {"single_word": True}, {"single_word": True, "lstrip": True, "rstrip": True}]
    for each in flags:
        for normalized in (False, True):
            for special in (False, True):
                tokens = [token(n, "<e>", normalized=normalized, special=special, **each), token(n + 1, "<f>"), token(n + 2, "<ee>", special=False), token(n + 3, "<Ü>", normalized=normalized)]
                for normalizer in (None, bert(), {"type": "Lowercase"}):
                    cases.add(["added_tokens"], texts, model=model, normalizer=normalizer, pre_tokenizer={"type": "Whitespace"}, added_tokens=tokens)
    mixed = [token(3, "good", special=False, single_word=True, normalized=True), token(n, "GOOD", special=False), token(n + 1, "  ", special=False), token(n + 2, " b", special=False, normalized=True)]
    for pre in ({"type": "Whitespace"}, metaspace("first"), metaspace("always"), BERT_SPLIT):
        cases.add(["added_tokens"], texts, model=model, pre_tokenizer=pre, added_tokens=mixed)


def add_decoders(cases):
    # Without the usual names of special tokens, which decoding leaves out.
    sample = ["the film ' s good , is n't it ?", "caf\u00e9 ab", "a", ""]
    tokens = ["u0", "the", "film", "##s", "good", ",", "is", "n't", "it", "?", "'", "s", "▁the", "▁", "a", "b</w>", "<0xC3>", "<0xA9>", "<p>", "|", "Ġthe", "Ã©", "xx", "é", "ab", "caf"]
    model = {"type": "WordLevel", "vocab": {t: i for i, t in enumerate(tokens)}, "unk_token": "u0"}
    texts = sample + ["▁the ▁ film ▁the", "<0xC3> <0xA9> a <0xC3> b", "a a <p> a | | b", "Ġthe Ã© film é", "a b</w> ab b</w>", "xx a xx", "film ##s ##s the"]
    each = {
        "WordPiece": [{"type": "WordPiece", "prefix": "##", "cleanup": c} for c in (True, False)],
        "Metaspace": [metaspace(s) for s in ("always", "never", "first")],
        "BPEDecoder": [{"type": "BPEDecoder", "suffix": "</w>"}],
        "CTC": [{"type": "CTC", "pad_token": "<p>", "word_delimiter_token": "|", "cleanup": c} for c in (True, False)],
        "Fuse": [{"type": "Fuse"}],
        "Strip": [{"type": "Strip", "content": "x", "start": 1, "stop": 0}],
        "ByteFallback": [{"type": "ByteFallback"}],
        "ByteLevel": [BYTES],
        "Replace": [{"type": "Replace", "pattern": {"Regex": "[▁a]"}, "content": "-"}],
        "Sequence": [sequence({"type": "Replace", "pattern": {"String": "▁"}, "content": " "}, {"type": "ByteFallback"}, {"type": "Fuse"}, {"type": "Strip", "content": " ", "start": 1, "stop": 0}, kind="decoders")],
    }
    for name, decoders in each.items():
        for decoder in decoders:
            cases.add([f"decoder.{name}"], texts, model=model, pre_tokenizer=SPACE_SPLIT, decoder=decoder, decode=True)


PATTERNS = [
    ("^", "a\nb\n"), ("$", "a\nb\n"), ("^", ""), ("\\A", "a\nb"), ("\\z", "a\n"), ("\\Z", "a\n"), ("\\b", "\u00b2 a-b"), ("\\B", "\u00b2 ab"), (".", "a\n\r\u2028"), ("a{2,}", "aaa a aa"), ("a{,2}", "aaa"), ("a{,}", "a{,}aa"),
    ("a{", "a{"), ("a{x}", "a{x}"), ("a++a", "aaa"), ("a*+b", "aaab"), ("a?+a", "aa a"), ("(?>a|ab)c", "abc ac"), ("(?>a+)b", "aab"), ("a+?", "aaa"), ("a??", "aa"), ("x*", "axb"), ("a|", "ab"), ("|a", "ab"), ("(?:)", "ab"),
    ("(?:a|ab)(?:c|bcd)", "abcd"), ("(a)(b)", "ab"), ("(?<n>a)b", "ab"), ("(?i:'s|'ll|k)", "'S 's '\u017f 'LL K \u212a"), ("a(?=b)", "ab ac"), ("a(?!b)", "ab ac"), ("(?<=a|bc)x", "ax bcx x"), ("(?<!\\S)a", "a ba a"), ("(?<!a|bc)x", "ax bcx x"),
    ("[]a]", "a]"), ("[^]a]", "ab]"), ("[a-c&&b-d]", "abcd"), ("[a[^b]]", "abc"), ("[^a[^b]]", "abc"), ("[^(\\s|[.,])]", "a(|., b"), ("[a-c-e]", "abcd-e"), ("[-a]", "a-"), ("[a-]", "a-"), ("[a\\-z]", "amz-"), ("[\\S\\s]", "a "), ("[\\w]", "\u00b2a_"),
    ("\\w", "\u00b2a_-"), ("\\W", "\u00b2a_-"), ("[\\W]", "\u00b2a-"), ("[\\b]", "\x08b"), ("[[:alpha:]]", "a1_"), ("[[:^alpha:]]", "a1_"), ("[^[:alpha:]]", "a1_"), ("\\h", "afgF9"), ("\\x41\\u0042\\x{43}", "ABC"), ("\\x{1F600}", "\U0001f600"), ("\\t\\n\\v\\e\\a", "\t\n\x0b\x1b\x07"),
    ("]", "a]"), ("}", "a}"), ("\\-\\_\\/\\\"", "-_/\""), ("\\p{L}\\p{M}*", "e\u0301a1"), ("\\P{L}", "a1 "), ("\\p{^L}", "a1 "), ("[\\p{Han}\\p{Hiragana}]+", "\u6f22\u3042a"), ("(?:ab|a)*b", "aababb"), ("[^\\r\\n]+", "a\r\nb"), ("\\p{N}{1,3}", "12345"),
    ("(?=a)", "aab"), ("\\s+(?!\\S)|\\s+", "a   b  "), ("-(?:b|)", "-b-c"), ("[\"']", "a\"b'c"), ("[&~!]", "a&~!b"), ("[a-z&&[^aeiou]]", "abcde"),
]
CLASSES = [f"\\p{{{name}}}" for name in (
    "L Lu Ll Lt Lm Lo M Mn Mc Me N Nd Nl No P Pc Pd Ps Pe Pi Pf Po S Sm Sc Sk So Z Zs Zl Zp C Cc Cf Co Letter Mark Number Punctuation Symbol Separator Alphabetic Uppercase Lowercase White_Space "
    "Arabic Armenian Bengali Bopomofo Cyrillic Devanagari Ethiopic Georgian Greek Gujarati Gurmukhi Han Hangul Hebrew Hiragana Kannada Katakana Khmer Lao Latin Malayalam Mongolian Myanmar Oriya Sinhala Tamil Telugu Thai Tibetan"
).split()] + [r"\w", r"\W", r"\d", r"\D", r"\s", r"\S", r"\h", r"\H", r"[\w]", r"[\W]", "."] + [f"[[:{name}:]]" for name in "alpha alnum cntrl digit lower punct space upper word xdigit".split()] + [f"(?i:{c})" for c in "abcdefghijklmnopqrstuvwxyzKS"]
# All planes but the ideographs of planes 2 and 3, which are large and alike.
POINTS = [*range(1, 0xD800), *range(0xE000, 0x20000), *range(0xE0000, 0xE0200)]
ALL = "".join(map(chr, POINTS))


def ranges(points):
    """Pairs of gap and length: [first - last before, last - first]."""
    out, end = [], 0
    for point in points:
        if out and point == end + 1:
            out[-1] += 1
        else:
            out += [point - end, 0]
        end = point
    return out


def matched(pattern):
    """Characters that the pattern matches alone, of all that there are."""
    left = set(normalizers.Replace(Regex(pattern), "").normalize_str(ALL))
    return ranges([point for point in POINTS if chr(point) not in left])


def patterns():
    cases = []
    for pattern, text in PATTERNS:
        pieces = [piece for piece, _ in pre_tokenizers.Split(Regex(pattern), "isolated").pre_tokenize_str(text)]
        cases.append({"pattern": pattern, "text": text, "pieces": pieces, "replaced": normalizers.Replace(Regex(pattern), "#").normalize_str(text)})
    return cases, {pattern: matched(pattern) for pattern in CLASSES}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", required=True, help="a folder; xlm-roberta/tokenizer.json.gz in it gives the charsmap")
    out = pathlib.Path(parser.parse_args().out)
    with gzip.open(out / "xlm-roberta" / "tokenizer.json.gz") as file:
        charsmap = json.load(file)["normalizer"]["precompiled_charsmap"]
    cases, given = Cases(), texts(7)
    add_normalizers(cases, given, charsmap)
    add_pre_tokenizers(cases, given)
    add_models(cases, given, charsmap)
    add_post_processors(cases)
    add_added_tokens(cases)
    add_decoders(cases)
    # Stored once: most cases have the same texts, and the charsmap is large.
    versions = {package: importlib.metadata.version(package) for package in ("tokenizers", "sentencepiece")}
    head = {"madeBy": "scripts/oracle/make_components_fixture.py", "versions": versions}
    for case in cases.cases:
        if case["texts"] == given:
            case["texts"] = None
        normalizer = case["tokenizer"]["normalizer"] or {}
        if normalizer.get("precompiled_charsmap") == charsmap:
            normalizer["precompiled_charsmap"] = None
    write(out / "components.json.gz", head | {"texts": given, "cases": cases.cases})
    found, classes = patterns()
    write(out / "patterns.json.gz", head | {"cases": found, "classes": classes})


def write(path, value):
    path.write_bytes(gzip.compress(json.dumps(value, separators=(",", ":"), ensure_ascii=True).encode(), 9, mtime=0))
    print(path.name, path.stat().st_size, "bytes")


if __name__ == "__main__":
    main()
