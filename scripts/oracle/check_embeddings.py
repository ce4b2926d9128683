"""Compares the embeddings of a sentence-transformers folder that
`fused-lora embed` wrote with those of sentence-transformers itself.
Small models with stored values: make_embedding_fixtures.py.

    npx fused-lora embed --model FOLDER --file texts.txt --output ours.jsonl
    python check_embeddings.py --model FOLDER --texts texts.txt --ours ours.jsonl

Fails where a value differs by more than 1e-5.
"""

import argparse
import json
import pathlib

import numpy as np
import sentence_transformers


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True, help="folder of a sentence-transformers model")
    parser.add_argument("--texts", required=True, help="a text a line")
    parser.add_argument("--ours", required=True, help="JSON lines of fused-lora embed")
    args = parser.parse_args()
    texts = pathlib.Path(args.texts).read_text(encoding="utf-8").splitlines()
    lines = pathlib.Path(args.ours).read_text(encoding="utf-8").splitlines()
    ours = np.array([json.loads(line)["embedding"] for line in lines])
    model = sentence_transformers.SentenceTransformer(args.model, device="cpu")
    theirs = model.encode(texts)
    if ours.shape != theirs.shape:
        raise SystemExit(f"shapes {ours.shape} and {theirs.shape}")
    difference = np.abs(ours - theirs).max()
    print(f"sentence-transformers {sentence_transformers.__version__}: {len(texts)} texts, largest difference {difference:.1e}")
    if difference > 1e-5:
        raise SystemExit("more than 1e-5")


if __name__ == "__main__":
    main()
