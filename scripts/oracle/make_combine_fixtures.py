"""Writes test/fixtures/combine: small adapters of PEFT, and its add_weighted_adapter's results.

    pip install -r scripts/oracle/requirements.txt
    python scripts/oracle/make_combine_fixtures.py \\
        --oracle test/fixtures/oracle --out test/fixtures/combine

The base is roberta-seqcls of test/fixtures/oracle. Stored are A and B of each result, computed by
PEFT in float64 and rounded to float32. Types that draw random numbers are combined with a density
of 1, which keeps all.
"""

import argparse
import importlib.metadata
import json
import os
import pathlib
import platform
import warnings

os.environ["HF_HUB_OFFLINE"] = "1"
warnings.simplefilter("ignore")

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import save_file

import models
from make_adapter_fixtures import edit

MODEL = "roberta-seqcls"
LAYER = "layer.0."
ADAPTERS = {
    "a": dict(r=2, lora_alpha=6, target_modules=["query", "intermediate.dense"]),
    "b": dict(r=2, lora_alpha=3, target_modules=["query", LAYER + "output.dense"]),
    "c": dict(r=4, lora_alpha=4, target_modules=["query", "intermediate.dense"]),
    "d": dict(r=2, lora_alpha=5, use_rslora=True, target_modules=["query", "intermediate.dense"]),
}
CASES = {
    "linear": (["a", "b"], [0.7, -0.4], {}),
    "linear-three": (["a", "b", "d"], [0.5, 1.5, 0.25], {}),
    "cat": (["a", "c"], [0.6, -0.3], {}),
    "svd": (["a", "b"], [0.7, -0.4], {}),
    "svd-rank": (["a", "c", "b"], [1.0, 0.5, 0.2], {"svd_rank": 3}),
    "ties": (["a", "b", "d"], [0.5, 1.5, 1.0], {"density": 0.5}),
    "ties-frequency": (["a", "b", "d"], [0.5, 1.5, -1.0], {"density": 0.7, "majority_sign_method": "frequency"}),
    "ties_svd": (["a", "c"], [0.5, 1.5], {"density": 0.4}),
    "magnitude_prune": (["a", "b"], [0.5, -1.5], {"density": 0.29}),
    "magnitude_prune_svd": (["a", "c"], [0.5, -1.5], {"density": 0.29, "svd_rank": 5}),
    "dare_linear": (["a", "b"], [0.5, 1.5], {"density": 1.0}),
    "dare_linear_svd": (["a", "c"], [0.5, 1.5], {"density": 1.0}),
    "dare_ties": (["a", "b", "d"], [0.5, 1.5, 1.0], {"density": 1.0}),
    "dare_ties_svd": (["a", "c"], [0.5, 1.5], {"density": 1.0}),
}


def fill(model):
    generator = torch.Generator().manual_seed(43)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if ".lora_" in name:
                parameter.copy_(0.2 * torch.randn(parameter.shape, generator=generator))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--oracle", required=True)
    parser.add_argument("--out", required=True)
    args = parser.parse_args()
    out = pathlib.Path(args.out)
    torch.set_num_threads(1)
    base = lambda: models.load(MODEL, pathlib.Path(args.oracle) / "models" / MODEL)
    peft = None
    for name, fields in ADAPTERS.items():
        config = LoraConfig(layers_to_transform=[0], **fields)
        if peft is None:
            peft = get_peft_model(base(), config, adapter_name=name)
        else:
            peft.add_adapter(name, config)
    fill(peft)
    for name in ADAPTERS:
        peft.peft_config[name].base_model_name_or_path = f"../../oracle/models/{MODEL}"
    peft.save_pretrained(out)
    (out / "README.md").unlink(missing_ok=True)
    for name in ADAPTERS:
        edit(out / name)
    entries, tensors = [], {}
    for case, (names, weights, options) in CASES.items():
        fresh = PeftModel.from_pretrained(base(), out / names[0], adapter_name=names[0])
        for name in names[1:]:
            fresh.load_adapter(out / name, adapter_name=name)
        kind = case.split("-")[0]
        torch.set_default_dtype(torch.float64)
        fresh = fresh.to(torch.float64)
        fresh.add_weighted_adapter(names, weights, "result", combination_type=kind, **options)
        torch.set_default_dtype(torch.float32)
        found = {k.replace("base_model.model.", "").replace(".result.", "."): v for k, v in fresh.named_parameters() if ".result." in k}
        # With use_rslora the result is √rank too strong: the tensors are right, the scaling is not.
        tensors |= {f"{case}/{k}": v.detach().to(torch.float32).contiguous() for k, v in found.items()}
        entries.append({"name": case, "type": kind, "adapters": names, "weights": weights, "options": options})
    save_file(tensors, out / "results.safetensors")
    versions = {"python": platform.python_version()}
    versions |= {p: importlib.metadata.version(p) for p in ("torch", "transformers", "peft", "safetensors", "numpy")}
    text = json.dumps({"madeBy": "scripts/oracle/make_combine_fixtures.py", "versions": versions, "cases": entries})
    (out / "cases.json").write_text(text + "\n")


if __name__ == "__main__":
    main()
