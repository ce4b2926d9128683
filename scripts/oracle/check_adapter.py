"""Loads an adapter folder that fused-lora wrote with PEFT,
on top of a base model, and prints the logits of a batch.
Whole models: check_model.py. The folders: test/interchange/write_folders.ts.

    python check_adapter.py --base <model> --adapter <folder> --batch FILE [--compare FILE]

Fails unless every tensor of adapter_model.safetensors found its
place in PEFT's model, with its value, and PEFT missed none.
"""

import argparse
import pathlib
import sys

import torch
from safetensors.torch import load_file

import logits
from peft import PeftModel, get_peft_model_state_dict


def check_tensors(model, folder):
    file = load_file(pathlib.Path(folder) / "adapter_model.safetensors")
    loaded = get_peft_model_state_dict(model, save_embedding_layers=False)
    # With bias "all" PEFT also lists copies of the head's
    # biases under these names; no reader needs them.
    loaded = {n: v for n, v in loaded.items() if ".original_module." not in n and ".modules_to_save." not in n}
    file = {n: v for n, v in file.items() if ".original_module." not in n and ".modules_to_save." not in n}
    missing, left_over = sorted(loaded.keys() - file.keys()), sorted(file.keys() - loaded.keys())
    if missing or left_over:
        raise SystemExit(f"{folder}: PEFT misses {missing}, and does not know {left_over}")
    wrong = [n for n, value in file.items() if not torch.equal(value.float(), loaded[n].float())]
    if wrong:
        raise SystemExit(f"{folder}: other values after loading: {wrong}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--base", required=True, help="Hugging Face model folder")
    parser.add_argument("--adapter", required=True, help="PEFT adapter folder")
    logits.add_arguments(parser)
    args = parser.parse_args()
    model = PeftModel.from_pretrained(logits.load_model(args.base), args.adapter)
    check_tensors(model, args.adapter)
    return logits.report(logits.batch_logits(model, args.batch), args)


if __name__ == "__main__":
    sys.exit(main())
