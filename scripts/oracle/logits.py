"""The logits of a packed batch by transformers, and their comparison with ours.
Shared by check_adapter.py and check_model.py.
"""

import json
import os
import pathlib

os.environ["HF_HUB_OFFLINE"] = "1"

import torch
import transformers

import batches

transformers.logging.set_verbosity_error()


def add_arguments(parser):
    parser.add_argument("--batch", required=True, help="JSON with inputIds, cuSeqlens and tokenTypeIds (or null)")
    parser.add_argument("--compare", help='JSON with "logits" as fused-lora computed them; exit status 1 if they differ')
    parser.add_argument("--tolerance", type=float, default=1e-4, help="largest absolute difference (default 1e-4)")


def load_model(folder):
    """By the class that config.json names; fails when a weight is missing, left over or mis-shaped.
    """
    config = json.loads((pathlib.Path(folder) / "config.json").read_text())
    names = config.get("architectures") or []
    if not names or not hasattr(transformers, names[0]):
        raise SystemExit(f"{folder}/config.json: architectures {names} names no class of transformers")
    model, info = getattr(transformers, names[0]).from_pretrained(
        folder, attn_implementation="eager", dtype=torch.float32, output_loading_info=True
    )
    for key in ("missing_keys", "unexpected_keys", "mismatched_keys"):
        if info.get(key):
            raise SystemExit(f"{folder}: {key.replace('_', ' ')}: {sorted(info[key])}")
    return model


@torch.no_grad()
def batch_logits(model, path):
    """[S, labels] for one label a sequence, else [T, labels] in the order of inputIds."""
    batch = json.loads(pathlib.Path(path).read_text())
    batch.setdefault("tokenTypeIds", None)
    inputs, packed = batches.padded(batch, model.config.model_type)
    logits = model.eval()(**inputs).logits
    return (logits[packed] if logits.dim() == 3 else logits).double()


def report(logits, args):
    """Prints one JSON object; returns the exit status."""
    answer = {"shape": list(logits.shape), "logits": logits.tolist()}
    status = 0
    if args.compare:
        ours = torch.tensor(json.loads(pathlib.Path(args.compare).read_text())["logits"], dtype=torch.float64)
        if ours.numel() != logits.numel():
            raise SystemExit(f"{args.compare}: {ours.numel()} logits, expected {logits.numel()}")
        difference = (ours.reshape(logits.shape) - logits).abs().max().item()
        answer |= {"maxAbsDifference": difference, "equal": difference <= args.tolerance}
        status = 0 if answer["equal"] else 1
    print(json.dumps(answer))
    return status
