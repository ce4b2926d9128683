"""Writes test/fixtures/patterns.json: what Python's re finds for patterns of every syntax, on paths
of modules, for test/base/patterns.test.ts. Python alone is needed.

    python scripts/oracle/make_patterns_fixture.py > test/fixtures/patterns.json

`{ madeBy, python, texts, patterns: [[pattern, search, match, fullmatch]] }`: each of the three is a
string of 0 and 1, one for each text, or null where Python does not take the pattern.
"""

import json
import platform
import random
import re
import warnings

warnings.simplefilter("ignore")

TEXTS = [
    "", "a", "ab", "aab", "classifier", "classifier.dense", "classifier.out_proj", "lm_head.dense", "bert.pooler.dense",
    "roberta.embeddings.word_embeddings", "roberta.embeddings.LayerNorm", "roberta.encoder.layer.0.attention.self.query",
    "roberta.encoder.layer.1.attention.self.key", "roberta.encoder.layer.10.attention.self.value",
    "roberta.encoder.layer.11.attention.output.dense", "bert.encoder.layer.3.intermediate.dense", "bert.encoder.layer.3.output.dense",
]
BY_HAND = [
    r"query\Z", r"\Aroberta", r"\Aquery\Z", r"layer\.\d{,1}\.", r"layer\.\d{2,}\.", r"layer\.\d{1}\.", r"a{,}b", r"a{}", r"a{x", r"a{1,x}", "{", "a{2}{3}",
    r"(?P<l>layer)\.(?P<n>\d+)", r"(?P<a>.)\w*(?P=a)", r"(.)\1", r"(a)?b\1", r"(a|b)\1", r"(?:(a)|b)\1", r"((a)b)?\2", r"(a)(?:b\1)*", r"(\w)+\1",
    r"(?i)QUERY", r"(?i:QUERY|KEY)\Z", r"(?i)LAYERnorm", r"(?-i:query)", r"(?i)q(?-i:U)ery", r"(?s).*", r"(?m)^query", r"(?a)\w+", r"(?u)\w+", r"(?L)a",
    r".*(?i)QUERY", r"(?ix) query # the query", "(?x: que ry )", "(?x: [ q] uery # x\n)", r"(?x)a\ b", r"(?#a comment)query", r"que(?#)ry", r"(?#open",
    r"\d++\.", r"[a-z]++y", r".*+y", r"(?>.*)y", r"(?>a|ab)b", r"a?+ab", r"\w*+", r"(?:ab)?+", r"a{1,2}+b", r"(?>(a+))b", r"(a+?)b", r"a*?b",
    r"(?=.*self)query", r"^(?=.*self).*query$", r"^(?!.*layer\.0\.).*dense", r"(?<=layer\.)1\.", r"(?<!layer\.)1\.", r"(?<=a)(?=b)", r"(?!)", r"(?=)",
    r"\bself\b", r"\Bself", r"dense\b", r"[.]dense", r"[^.]+", r"[^\W\d]+", r"[\w.]+", r"[]a]", r"[^]a]", r"[a-]", r"[-a]", r"[a\-z]", r"[z-a]", r"[\d-x]",
    r"[a", r"(", r")", r"a)", r"*", r"+a", r"a**", r"a+*", r"a|*", r"|a", r"a|", r"a||b", r"()", r"(|a)b", r"^*", r"$?", r"\b+", r"(?:^)*a",
    r"\q", r"\_", r"\.", r"\/", r"\-", r"\x61", r"\x6", r"\u0061", r"\U00000061", r"\141", r"\0", r"\07a", r"\8", r"\1", r"[\141]", r"[\b]", r"\a\f\n\r\t\v",
    r"(?P<1>a)", r"(?P<a>a)(?P<a>b)", r"(?P=b)", r"(?P>a)", r"(?<a", r"(?z)", r"(?", r"(?i", r"(?-)", r"(?i-)", r"(?:", r"(a\1)", r"(?<=a\b)b",
    r"query|value", r"(query|value)$", r"^(query|value)", r".*\.(query|value)", r"layer\.(0|1)\.", r"layer\.[01]\.attention\.(self|output)\..*",
    r".*layer\.([2468]|1[01])\..*", r"(?:.*\.)?dense", r"(.*\.)?(dense)$", r"(.*\.)?(layer.\d+.output.dense)$", r"(.*\.)?(^classifier)$", r"(.*\.)?(.*query)$",
    r"\S+", r"\s", r"\D*\d\D*", r".", r"..", "é", "[é-ü]", "a{1001}", "(?:a{500}){3}", "\U0001f600",
]
PIECES = ["a", "b", ".", "\\.", "dense", "layer", "\\d", "\\w", "[a-m]", "[^a]", "(?:ab|a)", "(a)", "(?P<x>b)", "\\b", "^", "$", "\\Z", "\\A", "(?=a)", "(?!b)", "(?>a|ab)", "\\1", "(?P=x)", "|", "(?i:A)"]
TIMES = ["", "", "", "", "*", "+", "?", "{2}", "{,2}", "{1,}", "*?", "+?", "??", "*+", "++", "?+", "{,1}+"]


def at_random(count):
    draw = random.Random(3)
    while count:
        pattern = "".join(draw.choice(PIECES) + draw.choice(TIMES) for _ in range(draw.randint(1, 5)))
        if draw.random() < 0.3:
            pattern = f"({pattern}){draw.choice(['', '?', '{2}'])}{draw.choice(PIECES)}"
        count -= 1
        yield pattern


def found(pattern):
    try:
        regex = re.compile(pattern)
    except (re.error, OverflowError, ValueError):
        return [pattern, None, None, None]
    results = []
    for how in (regex.search, regex.match, regex.fullmatch):
        results.append("".join("1" if how(text) else "0" for text in TEXTS))
    return [pattern, *results]


if __name__ == "__main__":
    rows = [found(p) for p in dict.fromkeys([*BY_HAND, *at_random(600)])]
    content = {"madeBy": "scripts/oracle/make_patterns_fixture.py", "python": platform.python_version(), "texts": TEXTS}
    lines = ",\n".join(json.dumps(row) for row in rows)
    print(json.dumps(content)[:-1] + ', "patterns": [\n' + lines + "\n]}")
