#!/bin/bash
# Optuna 5.0.0, JournalFileBackend: a process that was killed while it wrote leaves a last line
# without its end. Optuna reads the journal, and leaves that line out; but the next one that writes
# appends to it, and from then on no process can read the study. A line that sets two user
# attributes at once is refused too, though `user_attr` is an object.
#
#   read with a cut last line: 1 trial
#   after one more trial: JSONDecodeError
#   two attributes in a line: AssertionError
#
# Ends with 0 while it is so. A writer of such files cuts back to the last end of line first, and
# writes a line for each attribute (src/study/journal).
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install -q optuna==5.0.0
seen=$("$dir/venv/bin/python" -W ignore - "$dir" <<'P'
import json
import sys

import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

optuna.logging.set_verbosity(optuna.logging.ERROR)

def study(name):
    storage = JournalStorage(JournalFileBackend(f"{sys.argv[1]}/{name}.log"))
    return optuna.create_study(study_name="s", storage=storage, load_if_exists=True)

def trial(of):
    of.optimize(lambda t: t.suggest_float("x", 0, 1), n_trials=1)

trial(study("cut"))
with open(f"{sys.argv[1]}/cut.log", "a") as file:
    file.write('{"op_code": 4, "worker_id": "w", "stu')
again = study("cut")
print("read with a cut last line:", len(again.trials), "trial")
try:
    trial(again)
    study("cut")
except Exception as error:
    print("after one more trial:", type(error).__name__)
trial(study("two"))
with open(f"{sys.argv[1]}/two.log", "a") as file:
    file.write(json.dumps({"op_code": 2, "worker_id": "w", "study_id": 0, "user_attr": {"a": 1, "b": 2}}) + "\n")
try:
    study("two")
except Exception as error:
    print("two attributes in a line:", type(error).__name__)
P
)
echo "$seen"
grep '^#   ' "$0" | cut -c5- | diff - <(echo "$seen") && echo "as before"
