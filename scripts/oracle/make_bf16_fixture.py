"""Writes test/fixtures/oracle/bf16.json: how far PyTorch's
bf16 autocast is from float64 on the cases of make_fixtures.py.
Held against ours by test/oracle/bf16.test.ts.

    python scripts/oracle/make_bf16_fixture.py --fixtures test/fixtures/oracle

For the logits and for the gradient of each tensor of every case: the relative RMS error, rms(g -
g*) / max(rms(g*), 1e-3 G), g* being what expected.safetensors holds and G the largest rms of a
gradient of the case (for logits 0): a key bias has a gradient of exactly zero. Weights are float32,
the forward pass and the loss run under torch.autocast on a CPU.
"""

import argparse
import importlib.metadata
import json
import pathlib
import platform

import torch
from safetensors.torch import load_file

from cases import CASES
from make_fixtures import file_name, load_case, loss_and_logits, trainable


def rms(values):
    return values.double().pow(2).mean().sqrt().item()


def relative_rms(values, truth, floor):
    return rms(values - truth) / max(rms(truth), floor)


def errors_of(case, fixtures):
    batch = json.loads((fixtures / "batches" / f"{case.batch}.json").read_text())
    truth = load_file(fixtures / "cases" / case.name / "expected.safetensors")
    model = load_case(case, fixtures, torch.float32)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss, logits = loss_and_logits(case, model, batch, torch.float32)
    loss.backward()
    gradients = {file_name(n): p.grad for n, p in trainable(model).items()}
    floor = 1e-3 * max(rms(truth[f"grad.{n}"]) for n in gradients)
    return {
        "logits": relative_rms(logits.detach(), truth["logits"], 0),
        "gradients": {n: relative_rms(g, truth[f"grad.{n}"], floor) for n, g in sorted(gradients.items())},
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fixtures", required=True)
    fixtures = pathlib.Path(parser.parse_args().fixtures)
    torch.set_num_threads(1)
    cases = {case.name: errors_of(case, fixtures) for case in CASES if not case.curve}
    packages = ("torch", "transformers", "peft", "safetensors", "numpy")
    versions = {p: importlib.metadata.version(p) for p in packages} | {"python": platform.python_version()}
    manifest = {"madeBy": "scripts/oracle/make_bf16_fixture.py", "versions": versions, "cases": cases}
    (fixtures / "bf16.json").write_text(json.dumps(manifest, indent=1) + "\n")


if __name__ == "__main__":
    main()
