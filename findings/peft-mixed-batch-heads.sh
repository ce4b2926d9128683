#!/bin/bash
# PEFT 0.21.2 (torch 2.15.0, transformers 5.23.0): batches with an adapter for each row
# (adapter_names) work for BERT sequence classifiers and not for RoBERTa's, with the same
# configuration. task_type SEQ_CLS saves the head with each adapter; BERT's head is a Linear,
# RoBERTa's a module of several layers, and rows are told apart for single layers alone.
#
#   BertForSequenceClassification: rows as by each adapter alone
#   RobertaForSequenceClassification: TypeError: Mixed batching is only supported for
#   RobertaForSequenceClassification without heads: rows as by each adapter alone
#
# Ends with 0 while it is so.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install -q peft==0.21.2 torch==2.15.0 transformers==5.23.0
seen=$(cd "$dir"; HF_HUB_OFFLINE=1 "$dir/venv/bin/python" -W ignore - <<'P'
import torch
from peft import LoraConfig, get_peft_model
from transformers import BertConfig, BertForSequenceClassification, RobertaConfig, RobertaForSequenceClassification

size = dict(vocab_size=32, hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=8, max_position_embeddings=16)
ids = torch.arange(4, 12)[None].repeat(4, 1)
names = ["a", "b", "a", "b"]
for config, kind, task in (
    (BertConfig, BertForSequenceClassification, "SEQ_CLS"),
    (RobertaConfig, RobertaForSequenceClassification, "SEQ_CLS"),
    (RobertaConfig, RobertaForSequenceClassification, None),
):
    torch.manual_seed(0)
    lora = lambda: LoraConfig(task_type=task, r=2, target_modules=["query"], init_lora_weights=False)
    model = get_peft_model(kind(config(**size)), lora(), "a")
    model.add_adapter("b", lora())
    model.eval()
    try:
        with torch.no_grad():
            mixed = model(input_ids=ids, adapter_names=names).logits
            alone = {}
            for name in "ab":
                model.set_adapter(name)
                alone[name] = model(input_ids=ids).logits
        same = all(torch.allclose(mixed[i], alone[name][i], atol=1e-6) for i, name in enumerate(names))
        result = "rows as by each adapter alone" if same else "other rows"
    except Exception as error:
        result = f"{type(error).__name__}: {str(error)[:36]}"
    print(f"{kind.__name__}{'' if task else ' without heads'}: {result}")
P
)
echo "$seen"
grep '^#   ' "$0" | cut -c5- | diff - <(echo "$seen") && echo "as before"
