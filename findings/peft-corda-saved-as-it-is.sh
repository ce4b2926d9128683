#!/bin/bash
# PEFT 0.21.2 (torch 2.15.0, transformers 5.23.0): an adapter that CorDA began can be saved and can
# not be opened again. save_pretrained keeps init_lora_weights "corda", and from_pretrained begins
# anew: it asks the fresh base for the covariances of preprocess_corda. PiSSA, which changes the
# base as well, opens to the same output, because its decomposition can be repeated. CorDA's module
# also imports attrs, which is not among the packages that PEFT requires.
#
#   attrs is required by peft: False
#   pissa: saved with init_lora_weights pissa; opened again: the same output
#   corda: saved with init_lora_weights corda; opened again: ValueError
#
# Ends with 0 while it is so.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install -q peft==0.21.2 torch==2.15.0 transformers==5.23.0 attrs==25.3.0
seen=$(cd "$dir"; HF_HUB_OFFLINE=1 "$dir/venv/bin/python" -W ignore - <<'P'
import json
from importlib.metadata import requires
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from peft.tuners.lora.config import CordaConfig
from peft.tuners.lora.corda import preprocess_corda
from transformers import BertConfig, BertModel

config = BertConfig(vocab_size=20, hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=8, max_position_embeddings=8)
ids = torch.arange(8)[None]
print("attrs is required by peft:", any(line.startswith("attrs") for line in requires("peft")))
for how in "pissa", "corda":
    torch.manual_seed(0)
    base, fresh = BertModel(config).eval(), BertModel(config).eval()
    fresh.load_state_dict(base.state_dict())
    lora = LoraConfig(r=2, target_modules=["query"], init_lora_weights=how)
    if how == "corda":
        lora.corda_config = CordaConfig(corda_method="kpm")
        preprocess_corda(base, lora, run_model=lambda: base(ids))
    model = get_peft_model(base, lora).eval()
    output = model(ids).last_hidden_state
    model.save_pretrained(how)
    saved = json.load(open(f"{how}/adapter_config.json"))["init_lora_weights"]
    try:
        again = PeftModel.from_pretrained(fresh, how).eval()(ids).last_hidden_state
        result = "the same output" if torch.allclose(again, output, atol=1e-6) else "another output"
    except Exception as error:
        result = type(error).__name__
    print(f"{how}: saved with init_lora_weights {saved}; opened again: {result}")
P
)
echo "$seen"
grep '^#   ' "$0" | cut -c5- | diff - <(echo "$seen") && echo "as before"
