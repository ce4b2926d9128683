"""Writes test/fixtures/embed: folders in the forms of sentence-transformers, with its embeddings.

    pip install -r scripts/oracle/requirements.txt sentence-transformers==6.2.0
    python scripts/oracle/make_embedding_fixtures.py --out test/fixtures/embed

A tiny BERT and a tiny RoBERTa with random values, stored once each. A case is a set of
configuration files beside one of them, in the form that version 6 writes or an older one, with the
embeddings that sentence-transformers computes in float32. Read by test/task/embed.test.ts.
"""

import argparse
import importlib.metadata
import json
import os
import pathlib
import shutil
import tempfile
import warnings

os.environ["HF_HUB_OFFLINE"] = "1"
warnings.simplefilter("ignore")

import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import save_file
from sentence_transformers import SentenceTransformer
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
from transformers import AutoModel, BertConfig, BertModel, PreTrainedTokenizerFast, RobertaConfig, RobertaModel

WORDS = "a the film was story music actor of and very lovely dull long short with search query passage : Film".split()
TEXTS = [
    "the film was lovely",
    "a very long story of music and of the actor with a dull , dull film",
    "Film",
    "",
    "the actor , the music and the story : very short",
]
SIZE = 12
OLD = "sentence_transformers.models"
POOLING = "1_Pooling/config.json"
NEW_POOLING = "sentence_transformers.sentence_transformer.modules.pooling.Pooling"
NEW = {
    "Transformer": "sentence_transformers.base.modules.transformer.Transformer",
    "Pooling": NEW_POOLING,
    "Dense": "sentence_transformers.base.modules.dense.Dense",
    "Normalize": "sentence_transformers.base.modules.normalize.Normalize",
}


def fill(model, seed, scale):
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            noise = torch.randn(parameter.shape, generator=generator) * scale
            parameter.copy_(noise + (1 if "LayerNorm.weight" in name else 0))


def make_bases(out):
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    vocabulary = {word: i for i, word in enumerate(special + WORDS + [","])}
    shape = dict(
        vocab_size=len(vocabulary), hidden_size=SIZE, num_hidden_layers=2, num_attention_heads=3, intermediate_size=20
    )
    for name, config, model_class in [
        ("bert", BertConfig(**shape, max_position_embeddings=16), BertModel),
        (
            "roberta",
            RobertaConfig(**shape, max_position_embeddings=18, type_vocab_size=1, pad_token_id=0, bos_token_id=2),
            RobertaModel,
        ),
    ]:
        model = model_class(config)
        fill(model, 7 if name == "bert" else 8, 0.4)
        model.save_pretrained(out / name)
        tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
        tokenizer.normalizer = normalizers.NFC()
        tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
        tokenizer.decoder = decoders.WordPiece()
        tokenizer.post_processor = processors.TemplateProcessing(
            single="[CLS] $A [SEP]",
            pair="[CLS] $A [SEP] $B [SEP]",
            special_tokens=[("[CLS]", 2), ("[SEP]", 3)],
        )
        fast = PreTrainedTokenizerFast(
            tokenizer_object=tokenizer,
            model_max_length=14,
            unk_token="[UNK]",
            pad_token="[PAD]",
            cls_token="[CLS]",
            sep_token="[SEP]",
            mask_token="[MASK]",
        )
        fast.save_pretrained(out / name)


def modules(kinds, form, first=""):
    place = lambda i, kind: first if i == 0 else f"{i}_{kind}"
    name = lambda kind: f"{OLD}.{kind}" if form == "old" else NEW[kind]
    return [{"idx": i, "name": str(i), "path": place(i, k), "type": name(k)} for i, k in enumerate(kinds)]


def flags(*modes):
    known = ["cls_token", "mean_tokens", "max_tokens", "mean_sqrt_len_tokens"]
    return {"word_embedding_dimension": SIZE, **{f"pooling_mode_{k}": k in modes for k in known}}


def pooling(mode, **more):
    return {"embedding_dimension": SIZE, "pooling_mode": mode, "include_prompt": True, **more}


LENGTHS = "sentence_bert_config.json"
CONFIG = "config_sentence_transformers.json"
TRANSFORMER = {"transformer_task": "feature-extraction"}
PROMPTS = {"prompts": {"query": "search query : ", "document": ""}, "similarity_fn_name": "cosine"}
DENSE = {"in_features": SIZE, "out_features": 7, "bias": True}
TANH = "torch.nn.modules.activation.Tanh"


def cases():
    two = ["Transformer", "Pooling"]
    three = [*two, "Normalize"]
    yield "mean", "bert", {"modules.json": modules(two, "new"), POOLING: pooling("mean")}, {}
    yield "cls and length 1", "roberta", {"modules.json": modules(three, "new"), POOLING: pooling("cls")}, {}
    yield "old flags, max", "bert", {"modules.json": modules(two, "old"), POOLING: flags("max_tokens")}, {}
    yield "old flags, none set", "bert", {"modules.json": modules(two, "old"), POOLING: flags()}, {}
    yield "old flags, all set", "roberta", {
        "modules.json": modules(two, "old"),
        POOLING: flags("cls_token", "mean_tokens", "max_tokens", "mean_sqrt_len_tokens"),
    }, {}
    yield "weighted mean and last token", "bert", {
        "modules.json": modules(two, "new"),
        POOLING: pooling(["lasttoken", "weightedmean"]),
    }, {}
    yield "three modes joined", "roberta", {
        "modules.json": modules(two, "new"),
        POOLING: pooling(["mean", "cls", "max"]),
    }, {}
    yield "old layout with a length", "bert", {
        "modules.json": modules(three, "old", "0_Transformer"),
        POOLING: flags("mean_tokens"),
        f"0_Transformer/{LENGTHS}": {"max_seq_length": 6, "do_lower_case": False},
    }, {}
    yield "lower case, longer than the tokenizer says", "bert", {
        "modules.json": modules(two, "old"),
        POOLING: flags("mean_tokens"),
        LENGTHS: {"max_seq_length": 16, "do_lower_case": True},
    }, {}
    yield "dense", "bert", {
        "modules.json": modules([*two, "Dense", "Normalize"], "new"),
        POOLING: pooling("mean"),
        "2_Dense/config.json": {**DENSE, "activation_function": TANH},
    }, {}
    yield "dense without activation", "bert", {
        "modules.json": modules([*two, "Dense"], "old"),
        POOLING: flags("cls_token", "mean_tokens"),
        "2_Dense/config.json": {
            **DENSE,
            "in_features": 2 * SIZE,
            "activation_function": "torch.nn.modules.linear.Identity",
        },
    }, {}
    yield "dense with gelu", "bert", {
        "modules.json": modules([*two, "Dense"], "old"),
        POOLING: flags("mean_tokens"),
        "2_Dense/config.json": {**DENSE, "activation_function": "torch.nn.modules.activation.GELU"},
    }, {}
    prompted = {"modules.json": modules(two, "new"), POOLING: pooling("mean"), CONFIG: PROMPTS}
    yield "a prompt by name", "bert", prompted, {"prompt_name": "query"}
    yield "a default prompt", "bert", {**prompted, CONFIG: {**PROMPTS, "default_prompt_name": "query"}}, {}
    without = {**prompted, POOLING: pooling("mean", include_prompt=False)}
    yield "a prompt that is not pooled", "bert", without, {"prompt_name": "query"}
    first = {**prompted, POOLING: pooling(["cls", "max"], include_prompt=False)}
    yield "a prompt that is not pooled, first token and max", "bert", first, {"prompt_name": "query"}
    yield "length 1 by the call", "bert", {"modules.json": modules(two, "new"), POOLING: pooling("mean")}, {
        "normalize_embeddings": True
    }
    yield "first features", "bert", {"modules.json": modules(three, "new"), POOLING: pooling("mean")}, {
        "truncate_dim": 5
    }


def dense_weights(config):
    generator = torch.Generator().manual_seed(11)
    shape = (config["out_features"], config["in_features"])
    return {
        "linear.weight": torch.randn(shape, generator=generator) * 0.3,
        "linear.bias": torch.randn(shape[:1], generator=generator) * 0.3,
    }


def assemble(folder, base, files):
    encoder = folder / "0_Transformer" if any(name.startswith("0_Transformer") for name in files) else folder
    shutil.copytree(base, encoder, dirs_exist_ok=True)
    for name, content in files.items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(content))
    dense = files.get("2_Dense/config.json")
    if dense:
        save_file(dense_weights(dense), folder / "2_Dense/model.safetensors")
    if LENGTHS not in files and f"0_Transformer/{LENGTHS}" not in files:
        (encoder / LENGTHS).write_text(json.dumps(TRANSFORMER))


def numbers(tensor):
    return [[float(f"{value:.8g}") for value in row] for row in tensor.tolist()]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--out", type=pathlib.Path, required=True)
    out = parser.parse_args().out
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    torch.set_num_threads(1)
    make_bases(out)
    found = []
    for name, base, files, options in cases():
        with tempfile.TemporaryDirectory() as folder:
            assemble(pathlib.Path(folder), out / base, files)
            model = SentenceTransformer(folder, device="cpu")
            rows = model.encode(TEXTS, convert_to_tensor=True, batch_size=2, **options)
            dense = files.get("2_Dense/config.json")
            weights = {k: v.flatten().tolist() for k, v in dense_weights(dense).items()} if dense else None
            found.append(dict(name=name, base=base, files=files, options=options, dense=weights, expected=numbers(rows)))
    # An adapter of PEFT on the bare encoder, mean of its tokens.
    encoder = AutoModel.from_pretrained(out / "bert")
    tuned = get_peft_model(encoder, LoraConfig(task_type="FEATURE_EXTRACTION", r=3, target_modules=["query", "value"]))
    fill_lora = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for key, parameter in tuned.named_parameters():
            if "lora_" in key:
                parameter.copy_(torch.randn(parameter.shape, generator=fill_lora) * 0.5)
    tuned.save_pretrained(out / "adapter")
    (out / "adapter" / "README.md").unlink(missing_ok=True)
    config = json.loads((out / "adapter" / "adapter_config.json").read_text())
    config["base_model_name_or_path"] = "bert"
    (out / "adapter" / "adapter_config.json").write_text(json.dumps(config, indent=2, sort_keys=True))
    with tempfile.TemporaryDirectory() as folder:
        files = {"modules.json": modules(["Transformer", "Pooling"], "new"), POOLING: pooling("mean")}
        assemble(pathlib.Path(folder), out / "bert", files)
        model = SentenceTransformer(folder, device="cpu")
        model[0].auto_model.load_adapter(str(out / "adapter"))
        rows = model.encode(TEXTS, convert_to_tensor=True)
        found.append(
            dict(name="an adapter", base="bert", files=files, options={}, dense=None, adapter="adapter", expected=numbers(rows))
        )
    versions = {k: importlib.metadata.version(k) for k in ["sentence-transformers", "transformers", "peft", "torch"]}
    lines = ",\n".join(json.dumps(case) for case in found)
    head = json.dumps({"madeBy": "scripts/oracle/make_embedding_fixtures.py", "versions": versions, "texts": TEXTS})
    (out / "cases.json").write_text(f'{head[:-1]}, "cases": [\n{lines}\n]}}\n')


if __name__ == "__main__":
    main()
