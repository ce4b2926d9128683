"""Writes test/fixtures/adapters: PEFT's own adapters of every form that must be read, with the
logits that PEFT computes from them.

    pip install -r scripts/oracle/requirements.txt
    python scripts/oracle/make_adapter_fixtures.py \\
        --oracle test/fixtures/oracle --out test/fixtures/adapters

Bases and batches are those of test/fixtures/oracle. An adapter is made, filled with values, saved,
put on a fresh base by PeftModel.from_pretrained, and computed in float64: what is stored is what
PEFT reads, not what it had in memory. A case whose file is changed after saving (an older form of
it, say) is changed before it is read. Where PEFT itself does not read the file, `read_by` says on
what the logits were computed.
"""

import argparse
import importlib.metadata
import json
import os
import pathlib
import platform
import shutil
import warnings

os.environ["HF_HUB_OFFLINE"] = "1"
warnings.simplefilter("ignore")

import torch
import transformers
from peft import BdLoraConfig, LoraConfig, MontecloraConfig, PeftModel, get_peft_model
from peft.tuners.lora.config import KasaConfig, VeloraConfig
from safetensors.torch import load_file, save_file

import batches
import models

CONFIG = "adapter_config.json"
WEIGHTS = "adapter_model.safetensors"
PREFIX = "base_model.model."


def fill(model):
    """Values that matter for everything that an adapter's file
    holds: B starts at zero, heads and embeddings as their base's.
    """
    generator = torch.Generator().manual_seed(41)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if ".lora_" in name:
                parameter.copy_(0.2 * torch.randn(parameter.shape, generator=generator))
            elif ".modules_to_save." in name:
                parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator))


def edit(folder, config=None, tensors=None, drop=()):
    """Changes a saved adapter: fields of its configuration, keys of its tensors."""
    file = folder / CONFIG
    fields = json.loads(file.read_text())
    fields.update(config or {})
    for name in drop:
        fields.pop(name, None)
    # PEFT writes sets in hash order: sorted, so that the script gives the same bytes each time.
    fields = {k: sorted(v) if isinstance(v, list) and all(isinstance(x, str) for x in v) else v for k, v in fields.items()}
    file.write_text(json.dumps(fields, indent=2, sort_keys=True) + "\n")
    if tensors:
        held = {tensors(k): v for k, v in load_file(folder / WEIGHTS).items()}
        save_file({k: v for k, v in held.items() if k}, folder / WEIGHTS, metadata={"format": "pt"})


def old_fields(folder, names):
    """Leaves the fields that a version of PEFT wrote."""
    kept = json.loads((folder / CONFIG).read_text())
    (folder / CONFIG).write_text(json.dumps({k: kept[k] for k in names if k in kept}, indent=2, sort_keys=True) + "\n")


FIELDS_0_3 = "base_model_name_or_path bias fan_in_fan_out inference_mode init_lora_weights lora_alpha lora_dropout modules_to_save peft_type r target_modules task_type".split()
FIELDS_0_6 = FIELDS_0_3 + "alpha_pattern auto_mapping layers_pattern layers_to_transform rank_pattern revision".split()


def lora(**fields):
    return LoraConfig(**({"r": 2, "lora_alpha": 6, "target_modules": ["query"], "task_type": "SEQ_CLS"} | fields))


def cases():
    """name -> model, configuration, and what more there is to it."""
    seq = "roberta-seqcls"
    return {
        # Python's regular expressions.
        "regex-anchors": dict(model=seq, config=lora(
            target_modules=r".*\.(?P<part>query|key|value)\Z",
            rank_pattern={r"query\Z": 4, r"\Aroberta\.encoder\.layer\.0\..*key": 1},
            alpha_pattern={r"layer\.\d{,2}\.attention\.self\.value": 31, r"key(?#the keys)": 5})),
        "regex-flags": dict(model=seq, config=lora(
            target_modules=r"(?i).*SELF\.(?-i:query)|(?x: .* output [.] dense  # both outputs" "\n" r")",
            alpha_pattern={r"OUTPUT.dense": 90, r"(?i:OUTPUT.dense)": 3})),
        "regex-possessive": dict(model=seq, config=lora(
            target_modules=r"[^.]++\.encoder\.layer\.\d++\.(?>attention|output)\.(?:self\.)?+(?P<q>key|query)",
            alpha_pattern={r"(?:.*+)query": 99, r"(?<=layer\.)1\.attention\.self\.(?!query)\w+": 1})),
        "regex-references": dict(model=seq, config=lora(
            target_modules=r"(.).*\.(?P<a>.)ttention\.\w*\.((?P<s>d)\w*(?P=s)?e?nse|(k)e(?:y))",
            rank_pattern={r"(output)\.dense": 1})),
        "exclude-regex": dict(model=seq, config=lora(target_modules=["query", "key"], exclude_modules=r".*\.1\..*\.key\Z")),
        # What a list means.
        "layers-and-path": dict(model=seq, config=lora(
            target_modules=["roberta.encoder.layer.1.output.dense", "query"], layers_to_transform=[0])),
        "layers-pattern": dict(model=seq, config=lora(
            target_modules=["query", "key"], layers_to_transform=1, layers_pattern=["blocks", "layer"])),
        "all-linear-no-task": dict(model=seq, config=lora(target_modules="all-linear", task_type=None, r=8)),
        "all-linear-no-task-word": dict(model=seq, config=lora(target_modules="all-linear", task_type=None, r=8),
                                        change=lambda d: edit(d, {"target_modules": "all-linear"})),
        "all-linear-bert-word": dict(model="bert-seqcls", config=lora(target_modules="all-linear", task_type=None, r=4),
                                     change=lambda d: edit(d, {"target_modules": "all-linear"})),
        "all-linear-seqcls-word": dict(model=seq, config=lora(target_modules="all-linear"),
                                       change=lambda d: edit(d, {"target_modules": "all-linear", "modules_to_save": None})),
        "rank-above-size": dict(model=seq, config=lora(target_modules=["query", "out_proj"], task_type=None, r=40)),
        # Modules that are saved whole.
        "save-suffixes": dict(model=seq, config=lora(modules_to_save=["proj", "Norm"], task_type=None)),
        "save-embeddings": dict(model=seq, config=lora(modules_to_save=["classifier", "word_embeddings"])),
        "save-all-embeddings": dict(model="bert-seqcls", config=lora(modules_to_save=["bert.embeddings", "pooler", "classifier"])),
        "save-layer": dict(model=seq, config=lora(target_modules=["query"], modules_to_save=["layer.1", "classifier"])),
        "resized-embedding": dict(model=seq, config=lora(), resize=103),
        "kept-embedding": dict(model=seq, config=lora(), embeddings=True),
        # Keys and fields of older and other files.
        "adapter-name-in-keys": dict(model=seq, config=lora(), read_by="the same file without the names",
                                     after=lambda d: edit(d, tensors=lambda k: k.replace(".lora_A.", ".lora_A.default.").replace(".lora_B.", ".lora_B.default."))),
        "peft-0.3": dict(model=seq, config=lora(), change=lambda d: (edit(d, {"modules_to_save": None}), old_fields(d, FIELDS_0_3))),
        "peft-0.6": dict(model="bert-seqcls", config=lora(), change=lambda d: (edit(d, {"modules_to_save": None}), old_fields(d, FIELDS_0_6))),
        "peft-0.6-tokencls": dict(model="roberta-tokencls", config=lora(task_type="TOKEN_CLS"),
                                  change=lambda d: (edit(d, {"modules_to_save": None}), old_fields(d, FIELDS_0_6))),
        "head-without-fields": dict(model=seq, config=lora(), read_by="the same file with modules_to_save",
                                    after=lambda d: edit(d, {"modules_to_save": None, "task_type": None})),
        "features-bert": dict(model="bert-seqcls", config=lora(task_type="FEATURE_EXTRACTION", target_modules=["query", "dense"]), inner="bert"),
        "features-roberta": dict(model=seq, config=lora(
            task_type="FEATURE_EXTRACTION", target_modules=r"encoder\.layer\.\d+\.attention\.self\.(query|value)",
            alpha_pattern={r"^encoder\.layer\.0\.attention\.self\.query": 1}), inner="roberta"),
        "features-no-task": dict(model=seq, config=lora(task_type=None, target_modules=["encoder.layer.0.output.dense"], modules_to_save=["LayerNorm"]), inner="roberta"),
        # Initial values that say nothing about a trained adapter, and fields without effect.
        "init-orthogonal": dict(model=seq, config=lora(init_lora_weights="orthogonal")),
        "init-mica": dict(model=seq, config=lora(init_lora_weights="mica")),
        "init-eva": dict(model=seq, config=lora(), change=lambda d: edit(d, {"init_lora_weights": "eva", "eva_config": {"rho": 2.0}})),
        "init-lora-ga": dict(model=seq, config=lora(), change=lambda d: edit(d, {"init_lora_weights": "lora_ga"})),
        "fan-in-fan-out": dict(model=seq, config=lora(fan_in_fan_out=True)),
        "fields-without-effect": dict(model=seq, config=lora(megatron_core="megatron.core", qalora_group_size=4, ensure_weight_tying=True)),
        # Variants whose evaluation is plain LoRA, and those whose is not.
        "velora": dict(model=seq, config=lora(velora_config=VeloraConfig(num_groups=8))),
        "monteclora": dict(model=seq, config=lora(monteclora_config=MontecloraConfig(num_samples=2, buffer_size=2))),
        "kasa": dict(model=seq, config=lora(kasa_config=KasaConfig()), refused="kasa_config"),
        "bdlora": dict(model=seq, config=lora(target_modules=["query", "value"], use_bdlora=BdLoraConfig(
            target_modules_bd_a=["query"], target_modules_bd_b=["value"], nblocks=2)), refused="use_bdlora"),
        "dora": dict(model=seq, config=lora(use_dora=True), refused="use_dora"),
        "lora-bias": dict(model=seq, config=lora(lora_bias=True), refused="lora_bias"),
        "pissa": dict(model=seq, config=lora(init_lora_weights="pissa"), refused="init_lora_weights"),
        "olora": dict(model=seq, config=lora(init_lora_weights="olora"), refused="init_lora_weights"),
        "trainable-tokens": dict(model=seq, config=lora(trainable_token_indices=[5, 6]), refused="trainable_token_indices"),
        "layer-replication": dict(model="bert-seqcls", config=lora(layer_replication=[[0, 2], [1, 2]]), refused="layer_replication"),
    }


def base(case, oracle):
    model = models.load(case["model"], oracle / "models" / case["model"])
    if "resize" in case:
        torch.manual_seed(7)
        model.resize_token_embeddings(case["resize"])
    return model


def wrapped(case, model, wrap):
    """PEFT's model: the whole one, or the encoder alone, which then sits in its place."""
    inner = case.get("inner")
    if inner is None:
        return wrap(model)
    peft = wrap(getattr(model, inner))
    setattr(model, inner, peft.base_model.model)
    return peft


def make(name, case, oracle, out):
    folder = out / name
    torch.manual_seed(40)
    peft = wrapped(case, base(case, oracle), lambda m: get_peft_model(m, case["config"]))
    fill(peft)
    peft.peft_config["default"].base_model_name_or_path = f"../../oracle/models/{case['model']}"
    keep = {"save_embedding_layers": True} if "resize" in case or "embeddings" in case else {}
    if keep:
        with torch.no_grad():
            peft.get_input_embeddings().weight.add_(0.05)
    peft.save_pretrained(folder, **keep)
    (folder / "README.md").unlink(missing_ok=True)
    edit(folder)
    if "change" in case:
        case["change"](folder)


def logits(case, oracle, folder, batch):
    torch.manual_seed(50)
    model = base(case, oracle)
    peft = wrapped(case, model, lambda m: PeftModel.from_pretrained(m, folder))
    whole = model if "inner" in case else peft
    whole = whole.to(torch.float64).eval()
    inputs, packed = batches.padded(batch, case["model"].split("-")[0])
    with torch.no_grad():
        values = whole(**inputs).logits
    return (values[packed] if "tokencls" in case["model"] else values).tolist()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--oracle", required=True)
    parser.add_argument("--out", required=True)
    parser.add_argument("--only", help="one case, printed and not recorded")
    args = parser.parse_args()
    oracle, out = pathlib.Path(args.oracle), pathlib.Path(args.out)
    torch.set_num_threads(1)
    entries = []
    for name, case in cases().items():
        if args.only and name != args.only:
            continue
        shutil.rmtree(out / name, ignore_errors=True)
        make(name, case, oracle, out)
        batch = "bert-seqcls" if case["model"].startswith("bert") else case["model"]
        content = json.loads((oracle / "batches" / f"{batch}.json").read_text())
        if "resize" in case:
            content["inputIds"][1] = case["resize"] - 1
        entry = {"name": name, "model": case["model"], "batch": batch}
        for key in ("inner", "resize", "refused", "read_by"):
            if key in case:
                entry[key] = case[key]
        if "refused" not in case:
            entry["logits"] = logits(case, oracle, out / name, content)
        if "after" in case:
            case["after"](out / name)
        entries.append(entry)
        print(name)
    versions = {"python": platform.python_version()}
    versions |= {p: importlib.metadata.version(p) for p in ("torch", "transformers", "peft", "safetensors", "numpy")}
    if not args.only:
        text = json.dumps({"madeBy": "scripts/oracle/make_adapter_fixtures.py", "versions": versions, "cases": entries})
        (out / "cases.json").write_text(text + "\n")
    transformers.logging.set_verbosity_error()


if __name__ == "__main__":
    main()
