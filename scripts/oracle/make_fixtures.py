"""Writes test/fixtures/oracle with transformers and PEFT. Format: test/fixtures/oracle/README.md.

    pip install -r scripts/oracle/requirements.txt
    python scripts/oracle/make_fixtures.py --out test/fixtures/oracle

Weights and adapters are stored in float32; logits, losses and
gradients are computed from them in float64. Each gradient is checked
here against a central difference of the loss before it is written.
"""

import argparse
import importlib.metadata
import json
import os
import pathlib
import platform
import shutil

# A base model named "roberta-seqcls" is no repository to look up.
os.environ["HF_HUB_OFFLINE"] = "1"

import torch
import torch.nn.functional as F
import transformers
from peft import PeftModel, get_peft_model
from safetensors.torch import save_file

import batches
import models
from cases import BATCHES, CASES

CURVE = {
    "steps": 100,
    "lr": 1e-3,
    "betas": [0.9, 0.999],
    "eps": 1e-8,
    "weightDecay": 0.01,
    "warmupSteps": 10,
    "maxGradNorm": 1.0,
}


def write_json(path, value):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value) + "\n")


def file_name(name):
    """A parameter's name as PEFT's adapter file spells it (adapter "default" left out)."""
    return name.replace(".modules_to_save.default.", ".").replace(".default.", ".")


def fill_b(model, seed):
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if ".lora_B." in name:
                parameter.copy_(0.1 * torch.randn(parameter.shape, generator=generator))


def save_adapter(model, folder, base):
    model.peft_config["default"].base_model_name_or_path = base
    model.save_pretrained(folder)
    (folder / "README.md").unlink(missing_ok=True)
    # PEFT writes sets in hash order: sorted, so that the script gives the same bytes each time.
    config = json.loads((folder / "adapter_config.json").read_text())
    config = {k: sorted(v) if isinstance(v, list) and all(isinstance(x, str) for x in v) else v for k, v in config.items()}
    (folder / "adapter_config.json").write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")


def load_case(case, out, dtype=torch.float64):
    """The model as the files say, so that what is stored is what was computed with."""
    model = models.load(case.model, out / "models" / case.model)
    if case.mode == "lora":
        model = PeftModel.from_pretrained(model, out / "cases" / case.name / "adapter", is_trainable=True)
    return model.to(dtype).train()


def loss_and_logits(case, model, batch, dtype=torch.float64):
    inputs, packed = batches.padded(batch, case.family)
    logits = model(**inputs).logits
    if case.task == "regression":
        return F.mse_loss(logits.squeeze(-1), torch.tensor(batch["labels"], dtype=dtype)), logits
    if case.task == "multi-label-classification":
        return F.binary_cross_entropy_with_logits(logits, torch.tensor(batch["labels"], dtype=dtype)), logits
    if case.task in ("token-classification", "masked-lm"):
        logits = logits[packed]
    weights = case.loss_options.get("classWeights")
    loss = F.cross_entropy(
        logits,
        torch.tensor(batch["labels"]),
        weight=None if weights is None else torch.tensor(weights, dtype=dtype),
        ignore_index=batches.IGNORE,
        label_smoothing=case.loss_options.get("labelSmoothing", 0.0),
    )
    return loss, logits


def trainable(model):
    # PEFT's bias="all" also marks biases of the frozen copy
    # of the head, which no forward pass reads.
    return {n: p for n, p in model.named_parameters() if p.requires_grad and ".original_module." not in n}


def check_gradient(case, model, batch, gradients):
    """Central difference along a random direction, for each
    parameter: would notice arithmetic done in float32.
    """
    generator = torch.Generator().manual_seed(5)
    largest = max(g.abs().max().item() for g in gradients.values())
    step = 1e-5
    with torch.no_grad():
        for name, parameter in trainable(model).items():
            direction = torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
            start = parameter.clone()
            values = []
            for sign in (1, -1):
                parameter.copy_(start + sign * step * direction)
                values.append(loss_and_logits(case, model, batch)[0].item())
            parameter.copy_(start)
            numeric = (values[0] - values[1]) / (2 * step)
            exact = (direction * gradients[name]).sum().item()
            bound = 1e-6 * max(abs(exact), largest)
            if abs(numeric - exact) > bound:
                raise AssertionError(f"{case.name}: {name}: {exact} by autograd, {numeric} by differences")


def write_gradients(case, out):
    batch = json.loads((out / "batches" / f"{case.batch}.json").read_text())
    model = load_case(case, out)
    loss, logits = loss_and_logits(case, model, batch)
    loss.backward()
    parameters = trainable(model)
    assert all(p.grad is not None for p in parameters.values()), [n for n, p in parameters.items() if p.grad is None]
    gradients = {n: p.grad for n, p in parameters.items()}
    check_gradient(case, model, batch, gradients)
    tensors = {"loss": loss.detach().reshape(1), "logits": logits.detach().contiguous()}
    tensors |= {f"grad.{file_name(n)}": g.contiguous() for n, g in gradients.items()}
    save_file(tensors, out / "cases" / case.name / "expected.safetensors")
    return {"batch": f"batches/{case.batch}.json", "expected": f"cases/{case.name}/expected.safetensors"}


def write_curve(case, out):
    steps = [batches.make_batch([500, step], case.family, case.task) for step in range(CURVE["steps"])]
    model = load_case(case, out)
    parameters = trainable(model)
    plain = [p for n, p in parameters.items() if n.endswith(".bias") or "LayerNorm" in n]
    decayed = [p for n, p in parameters.items() if not (n.endswith(".bias") or "LayerNorm" in n)]
    optimizer = torch.optim.AdamW(
        [{"params": decayed, "weight_decay": CURVE["weightDecay"]}, {"params": plain, "weight_decay": 0.0}],
        lr=CURVE["lr"],
        betas=tuple(CURVE["betas"]),
        eps=CURVE["eps"],
    )
    schedule = transformers.get_linear_schedule_with_warmup(optimizer, CURVE["warmupSteps"], CURVE["steps"])
    curve = {"loss": [], "gradNorm": [], "learningRate": []}
    for batch in steps:
        loss, _ = loss_and_logits(case, model, batch)
        optimizer.zero_grad()
        loss.backward()
        curve["gradNorm"].append(torch.nn.utils.clip_grad_norm_(parameters.values(), CURVE["maxGradNorm"]).item())
        curve["learningRate"].append(schedule.get_last_lr()[0])
        curve["loss"].append(loss.item())
        optimizer.step()
        schedule.step()
    folder = f"cases/{case.name}"
    write_json(out / "batches" / f"curve-{case.family}.json", steps)
    write_json(out / folder / "curve.json", curve)
    entry = {"batches": f"batches/curve-{case.family}.json", "expected": f"{folder}/curve.json", "optimizer": CURVE}
    if case.mode == "lora":
        final = {file_name(n): p.detach().contiguous() for n, p in parameters.items()}
        save_file(final, out / folder / "final.safetensors")
        entry["final"] = f"{folder}/final.safetensors"
    return entry


def write_case(case, out):
    entry = {"name": case.name, "kind": "curve" if case.curve else "gradients", "model": f"models/{case.model}"}
    entry |= {"adapter": None, "mode": case.mode, "task": case.task, "lossOptions": case.loss_options}
    (out / "cases" / case.name).mkdir(parents=True)
    if case.mode == "lora":
        torch.manual_seed(31)
        model = get_peft_model(models.load(case.model, out / "models" / case.model), case.lora_config())
        if not case.zero_b:
            fill_b(model, 32)
        entry["adapter"] = f"cases/{case.name}/adapter"
        save_adapter(model, out / entry["adapter"], case.model)
    return entry | (write_curve(case, out) if case.curve else write_gradients(case, out))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", required=True)
    out = pathlib.Path(parser.parse_args().out)
    torch.set_num_threads(1)  # one order of summation
    for folder in ("models", "batches", "cases"):
        shutil.rmtree(out / folder, ignore_errors=True)
    for name in models.MODELS:
        models.save(name, out / "models" / name)
    for name, (seed, family, task) in BATCHES.items():
        write_json(out / "batches" / f"{name}.json", batches.make_batch(seed, family, task))
    entries = []
    for case in CASES:
        entries.append(write_case(case, out))
        print(case.name, flush=True)
    packages = ("torch", "transformers", "peft", "safetensors", "numpy")
    versions = {p: importlib.metadata.version(p) for p in packages} | {"python": platform.python_version()}
    manifest = {"madeBy": "scripts/oracle/make_fixtures.py", "versions": versions, "cases": entries}
    (out / "cases.json").write_text(json.dumps(manifest, indent=1) + "\n")


if __name__ == "__main__":
    main()
