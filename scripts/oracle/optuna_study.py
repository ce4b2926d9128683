"""
Studies beside Optuna, outside of CI: what its pruner decides on learning curves, stored for
test/study/search.test.ts, and whether it reads a journal that src/study/journal wrote.

    python optuna_study.py curves > test/fixtures/study/asha.json
    python optuna_study.py check STUDY...    # folders with journal.log and results.json

Needs optuna 5.0.0 (PyPI).
"""
import json
import math
import pathlib
import random
import sys

import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState

optuna.logging.set_verbosity(optuna.logging.ERROR)


def curves():
    """60 curves of 9 evaluations that rise to different heights at different rates."""
    rng = random.Random(3)
    made = []
    for _ in range(60):
        top, rate = rng.uniform(0.5, 0.95), rng.uniform(0.1, 1)
        made.append([round(top * (1 - math.exp(-rate * (s + 1))) + rng.gauss(0, 0.02), 4) for s in range(9)])
    runs = []
    for direction in ("maximize", "minimize"):
        for factor, first in ((3, 1), (2, 1), (4, 2)):
            pruner = optuna.pruners.SuccessiveHalvingPruner(min_resource=first, reduction_factor=factor)
            study = optuna.create_study(direction=direction, pruner=pruner)
            stopped = []
            for curve in made:
                trial, at = study.ask(), None
                for step, value in enumerate(curve, 1):
                    trial.report(value, step)
                    if trial.should_prune():
                        at = step
                        break
                if at:
                    study.tell(trial, state=TrialState.PRUNED)
                else:
                    study.tell(trial, curve[-1])
                stopped.append(at)
            best = study.best_trial.number
            runs.append(
                {"direction": direction, "reductionFactor": factor, "firstRung": first, "stoppedAt": stopped, "best": best}
            )
    json.dump({"optuna": optuna.__version__, "curves": made, "runs": runs}, sys.stdout)


def check(folder):
    """Optuna's best trial is the study's, its counts are, and it goes on with the journal."""
    folder = pathlib.Path(folder)
    results = json.loads((folder / "results.json").read_text())
    storage = JournalStorage(JournalFileBackend(str(folder / "journal.log")))
    study = optuna.load_study(study_name="search", storage=storage)
    assert study.direction.name == ("MAXIMIZE" if results["maximize"] else "MINIMIZE")
    for method in results["methods"]:
        own = [trial for trial in study.trials if trial.params["method"] == method["method"]]
        states = [sum(trial.state == state for trial in own) for state in (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL)]
        assert states == [method["trials"][name] for name in ("complete", "stopped", "failed")], (method["method"], states)
        ended = [trial for trial in own if trial.state == TrialState.COMPLETE]
        best = (max if results["maximize"] else min)(ended, key=lambda trial: trial.value)
        assert (best.number, best.value) == (method["trial"], method["search"])
        assert best.params == {name: value for name, value in method["params"].items()}
    values = [method["search"] for method in results["methods"]]
    assert study.best_value == (max if results["maximize"] else min)(values)
    repeats = optuna.load_study(study_name="search/repeats", storage=storage)
    assert all(trial.state.is_finished() for trial in repeats.trials)
    print(f"{folder}: optuna {optuna.__version__} reads {len(study.trials)} trials; best {study.best_trial.number}, {study.best_value}")


if __name__ == "__main__":
    if sys.argv[1:] == ["curves"]:
        curves()
    elif sys.argv[1:2] == ["check"] and len(sys.argv) > 2:
        for name in sys.argv[2:]:
            check(name)
    else:
        sys.exit(__doc__)
