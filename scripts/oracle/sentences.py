"""Sentences made from our own words, signs and code points:
what a tokenizer may meet, with no text of anybody's.
The ids of them: make_tokenizer_fixture.py.
"""

import random
import unicodedata

WORDS = """river stone lantern window quiet morning garden clever painter violin harbour thunder pocket ribbon
castle wander mirror copper blanket kettle orchard whisper candle feather market saddle engine station border
silver planet biscuit ladder hammer cotton velvet marble winter summer autumn spring yellow purple scarlet
running jumped singing thoughtfully unbelievable reconsidered misunderstanding counterproductive hyperventilating
antidisestablishmentarianism good bad fine awful lovely dull sharp bright gloomy moving boring it they we you
she the a an of to in on under over never always perhaps not no very quite rather too almost and but or because
although film story plot actor scene music ending dialogue camera costume joke hero villain""".split()
SUFFIXES = ["'s", "'t", "'re", "'ve", "'m", "'ll", "'d", "’s", "n't", "'S", "'LL", "-like", "-", "s'", "_", "/", "ish"]
PUNCTUATION = [".", ",", "!", "?", ";", ":", "...", "…", " - ", "--", "—", "(", ")", '"', "'", "``", "''", "*", "&", "#", "$5", "%"]
SPACES = [" ", "  ", "   ", "\t", "\n", "\r\n", " \n ", "\u00a0", "\u2003", "\u3000", "\u2028", "\v", "\f", "\u0085", "\ufeff", "\u200b"]
URLS = ["https://example.org/a?b=c&d=%20#e", "www.example.com", "mailto:a.b+c@example.net", "C:\\temp\\x.txt", "/usr/lib"]
EMOJI = ["😀", "🎉", "❤️", "👍🏽", "👩‍👩‍👧", "🏳️‍🌈", "🇩🇰", "1️⃣", "🧑🏿‍🚀", "☕", "™", "🫠"]
SCRIPTS = ["naïve café", "Smørrebrød", "Straße STRASSE", "İstanbul ıssız", "Ελληνικά Σίσυφος", "Привет мир", "שלום עולם"]
SCRIPTS += ["مرحبا ١٢٣", "नमस्ते १२३", "สวัสดี", "日本語テスト", "中文字符", "한국어 한국어", "ﬁnancial ﬂow", "ǅ ǆ Ǆ", "e\u0301 a\u0308\u0323"]
SCRIPTS += ["Ａ１ｆｕｌｌ", "𝔘𝔫𝔦𝔠𝔬𝔡𝔢 𝟙𝟚𝟛", "½ ² Ⅷ ㊿", "x\u0000y", "a\u00adb", "\u202eabc\u202c", "\ue000", "\U0010fffd", "ꙮ", "zero\u200dwidth"]
SPECIALS = ["<s>", "</s>", "<pad>", "<unk>", "<mask>", "[CLS]", "[SEP]", "[MASK]", "[UNK]", "##ing", "Ġ", "Ċ"]


def word(rng):
    text = rng.choice(WORDS)
    case = rng.random()
    if case < 0.12:
        text = text.capitalize()
    elif case < 0.18:
        text = text.upper()
    elif case < 0.22:
        text = "".join(rng.choice((c, c.upper())) for c in text)
    if rng.random() < 0.15:
        text += rng.choice(SUFFIXES)
    if rng.random() < 0.03:
        text += rng.choice(WORDS)
    return text


def number(rng):
    value = rng.randrange(10 ** rng.randrange(1, 9))
    return rng.choice([str(value), f"{value:,}", f"{value / 100:.2f}", f"{value}th", f"-{value}", f"1.{value}e-5", f"0x{value:x}"])


def sentence(rng, words=None):
    pieces = []
    for _ in range(words or rng.randrange(1, 24)):
        pieces.append(number(rng) if rng.random() < 0.06 else word(rng))
        if rng.random() < 0.18:
            pieces.append(rng.choice(PUNCTUATION))
        pieces.append(rng.choice(SPACES) if rng.random() < 0.03 else " ")
    text = "".join(pieces)
    return text if rng.random() < 0.2 else text.strip()


def code_points(rng, count):
    """Any assigned code point of Unicode 14 (Python 3.11's
    table: engines that know a newer one agree about these).
    """
    found = []
    while len(found) < count:
        limit = rng.choice([0x250, 0x3000, 0x10000, 0x20000, 0x110000])
        c = chr(rng.randrange(limit))
        if unicodedata.category(c) not in ("Cn", "Cs", "Co"):
            found.append(c)
    return found


def mixed(rng, *lists):
    pieces = [rng.choice(rng.choice(lists)) for _ in range(rng.randrange(1, 8))]
    return rng.choice(["", " "]).join(pieces)


def single_texts(rng):
    """(kind, text) pairs."""
    for text in ("", " ", "  ", "\n", "\t \t", ".", "'", "a", " a", "a ", "Ａ", "😀", "\u0000", "\ufeff", "\u0085"):
        yield "edge", text
    for _ in range(1500):
        yield "sentence", sentence(rng)
    for _ in range(120):
        yield "spaces", "".join(rng.choice([word(rng), rng.choice(SPACES) * rng.randrange(1, 4)]) for _ in range(10))
    for _ in range(120):
        yield "emoji", mixed(rng, EMOJI, WORDS)
    for _ in range(160):
        yield "scripts", mixed(rng, SCRIPTS, WORDS, PUNCTUATION)
    for _ in range(160):
        yield "code points", rng.choice(["", " "]).join(code_points(rng, rng.randrange(1, 12)))
    for _ in range(60):
        yield "addresses", mixed(rng, URLS, WORDS, PUNCTUATION)
    for _ in range(60):
        yield "special tokens", mixed(rng, SPECIALS, WORDS)
    for unit in ("a", " ", "😀", "no ", "1", "é", "-", "\n"):
        yield "long", unit * 10000
    yield "long", " ".join(word(rng) for _ in range(1600))[:10000]
    yield "long", sentence(rng, 1600)[:10000]


def make_cases(seed=7):
    """Dicts kind, text, pair (or None), maxLength (or None)."""
    rng = random.Random(seed)
    cases = [{"kind": kind, "text": text, "pair": None, "maxLength": None} for kind, text in single_texts(rng)]
    for words, limit in ((200, 128), (150, 128), (120, 128), (30, 16), (10, 8), (5, 3), (5, 2), (60, 64)) * 5:
        cases.append({"kind": "truncated", "text": sentence(rng, words), "pair": None, "maxLength": limit})
    cases += [{**c, "kind": "truncated", "maxLength": 128} for c in cases if c["kind"] == "long"]
    for _ in range(150):
        cases.append({"kind": "pair", "text": sentence(rng), "pair": sentence(rng), "maxLength": None})
    for first, second in (("", ""), ("", "a"), ("a", ""), (" ", "  "), ("<mask>", "😀")):
        cases.append({"kind": "pair", "text": first, "pair": second, "maxLength": None})
    for i in range(120):
        first, second = ((120, 10), (10, 120), (90, 90), (91, 90), (90, 91), (60, 70))[i % 6]
        first, second = (sentence(rng, n + rng.randrange(4)) for n in (first, second))
        limit = (128, 128, 64, 33, 16, 7)[i // 6 % 6]
        cases.append({"kind": "truncated pair", "text": first, "pair": second, "maxLength": limit})
    return cases
