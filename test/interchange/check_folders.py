"""Loads what write_folders.ts wrote with transformers and
PEFT, and compares logits. Usage: see write_folders.ts.
"""
import functools
import json
import os
import sys

os.environ["HF_HUB_OFFLINE"] = "1"
import peft
import torch
import transformers

transformers.logging.set_verbosity_error()
transformers.utils.logging.disable_progress_bar()

CLASSES = {
    "sequence-classification": transformers.AutoModelForSequenceClassification,
    "token-classification": transformers.AutoModelForTokenClassification,
    "masked-lm": transformers.AutoModelForMaskedLM,
}
TOLERANCE = 2e-5


def logits(model, task, sequences, rows):
    model.eval()
    with torch.no_grad():
        outputs = [model(input_ids=torch.tensor([ids])).logits[0] for ids in sequences]
    if task == "sequence-classification":
        return torch.stack(outputs)
    tokens = torch.cat(outputs)
    return tokens[rows] if task == "masked-lm" else tokens


def main(root):
    with open(os.path.join(root, "cases.json")) as f:
        stored = json.load(f)
    worst = 0.0
    for case in stored["cases"]:
        # A base without the head says nothing of its outputs.
        outputs = {} if case["task"] == "masked-lm" else {"num_labels": 3}
        load = functools.partial(CLASSES[case["task"]].from_pretrained, **outputs)
        expected = torch.tensor(case["logits"])
        adapted = peft.PeftModel.from_pretrained(load(case["base"]), case["adapter"])
        for what, model in [("adapter", adapted), ("merged", load(case["merged"]))]:
            got = logits(model, case["task"], stored["sequences"], stored["rows"]).flatten()
            difference = (got - expected).abs().max().item()
            worst = max(worst, difference)
            print(f"{os.path.relpath(case['adapter'], root):50} {what:8} {difference:.1e}")
    print(f"largest difference {worst:.1e}, allowed {TOLERANCE:.0e}")
    sys.exit(0 if worst <= TOLERANCE else 1)


main(sys.argv[1])
