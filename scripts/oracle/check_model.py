"""Loads a model folder that fused-lora wrote (merged, say)
in transformers and prints the logits of a batch.
Adapters: check_adapter.py.

    python scripts/oracle/check_model.py --model <folder> --batch batch.json [--compare ours.json]
"""

import argparse
import sys

import logits


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True, help="Hugging Face model folder")
    logits.add_arguments(parser)
    args = parser.parse_args()
    return logits.report(logits.batch_logits(logits.load_model(args.model), args.batch), args)


if __name__ == "__main__":
    sys.exit(main())
