"""Writes src/data/tokenize/unicode_tables.ts: which characters
Python's tokenizers takes for controls, marks, punctuation.

    pip install -r scripts/oracle/requirements.txt
    python scripts/oracle/make_unicode_tables.py --out src/data/tokenize/unicode_tables.ts

Its crates carry tables of different versions of Unicode, mostly older than
Node's, so each class is read off the package itself, code point by code
point. Made with tokenizers 0.23.3 (the version is written into the file).
"""

import argparse
import base64
import importlib.metadata
import pathlib

from tokenizers import Regex, normalizers, pre_tokenizers

POINTS = [point for point in range(1, 0x110000) if not 0xD800 <= point < 0xE000]


def bert(**options):
    flags = dict.fromkeys(("clean_text", "handle_chinese_chars", "strip_accents", "lowercase"), False)
    return normalizers.BertNormalizer(**(flags | options))


def removed_by(normalizer):
    return [point for point in POINTS if normalizer.normalize_str(chr(point)) == ""]


def classes():
    punctuation = pre_tokenizers.Punctuation()
    isolated = lambda point: len(punctuation.pre_tokenize_str(f"a{chr(point)}a")) == 3
    return {
        "CONTROL": (removed_by(bert(clean_text=True)), "Removed by BertNormalizer's clean_text."),
        "NONSPACING": (removed_by(bert(strip_accents=True)), "Removed by BertNormalizer's strip_accents, after NFD."),
        "COMBINING": (removed_by(normalizers.StripAccents()), "Removed by StripAccents."),
        "PUNCTUATION": ([point for point in POINTS if isolated(point)], "Split off by Punctuation and BertPreTokenizer."),
        "UNASSIGNED": (
            removed_by(normalizers.Replace(Regex(r"\p{Cn}"), "")),
            "Without a character in the Unicode of its regular expressions.",
        ),
    }


def varint(value):
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return out + bytes([value])


def packed(points):
    """Gaps between ranges and their lengths less one, seven bits a byte."""
    ranges = []
    for point in points:
        if ranges and ranges[-1][1] == point - 1:
            ranges[-1][1] = point
        else:
            ranges.append([point, point])
    out, end = bytearray(), 0
    for first, last in ranges:
        out += varint(first - end) + varint(last - first)
        end = last
    return base64.b64encode(out).decode()


def lines(text):
    parts = [text[at : at + 88] for at in range(0, len(text), 88)]
    return " +\n".join(f"  '{part}'" for part in parts)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", required=True)
    version = importlib.metadata.version("tokenizers")
    text = f"""/**
 * Character classes as Python's tokenizers {version} has them, from the older Unicode tables of its
 * crates; made by scripts/oracle/make_unicode_tables.py. unicode_classes.ts unpacks them: gaps and
 * lengths of ranges, seven bits a byte.
 */
"""
    for name, (points, says) in classes().items():
        text += f"\n/** {says} */\nexport const {name} =\n{lines(packed(points))};\n"
    pathlib.Path(parser.parse_args().out).write_text(text)


if __name__ == "__main__":
    main()
