#!/bin/bash
# PEFT 0.21.2 (torch 2.15.0, transformers 5.23.0): modules_to_save holds ends of paths, with no
# regard to dots: "embeddings" is bert.embeddings and, in it, word_embeddings, position_embeddings
# and token_type_embeddings. PEFT wraps each of them, one within the other, trains and saves them
# without a word, and can not load the file that it wrote: the keys of the inner ones hold the
# wrapper's name.
#
#   wrapped: bert.embeddings, bert.embeddings.word_embeddings,
#     bert.embeddings.position_embeddings, bert.embeddings.token_type_embeddings
#   loading it again: KeyError
#   with modules_to_save=["bert.embeddings"]: loaded
#
# Ends with 0 while it is so. A name that only the outer module's path ends in avoids it.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install -q peft==0.21.2 torch==2.15.0 transformers==5.23.0
seen=$(cd "$dir" && HF_HUB_OFFLINE=1 "$dir/venv/bin/python" -W ignore - <<'P'
from peft import LoraConfig, PeftModel, get_peft_model
from peft.utils import ModulesToSaveWrapper
from transformers import BertConfig, BertForSequenceClassification

config = BertConfig(vocab_size=20, hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=8, max_position_embeddings=8)
lora = lambda names: LoraConfig(task_type="SEQ_CLS", r=2, target_modules=["query"], modules_to_save=names)
model = get_peft_model(BertForSequenceClassification(config), lora(["embeddings"]))
wrapped = [n.removeprefix("base_model.model.") for n, m in model.named_modules() if isinstance(m, ModulesToSaveWrapper)]
plain = [n.replace(".modules_to_save.default", "").replace(".original_module", "") for n in wrapped]
print("wrapped:", ", ".join(dict.fromkeys(n for n in plain if "embeddings" in n)))
for what, names in ("loading it again", ["embeddings"]), ('with modules_to_save=["bert.embeddings"]', ["bert.embeddings"]):
    get_peft_model(BertForSequenceClassification(config), lora(names)).save_pretrained("adapter")
    try:
        PeftModel.from_pretrained(BertForSequenceClassification(config), "adapter")
        print(f"{what}: loaded")
    except Exception as error:
        print(f"{what}: {type(error).__name__}")
P
)
echo "$seen"
grep '^#   ' "$0" | cut -c5- | diff - <(echo "$seen") && echo "as before"
