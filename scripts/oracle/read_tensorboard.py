"""
Event files beside TensorBoard, outside of CI: what its own reader makes of those that
src/train/tensorboard.ts wrote, as JSON: tag -> [[step, value], ...].

    python read_tensorboard.py RUN/tensorboard [...]           # a folder or a file each
    python read_tensorboard.py --check RUN [...]    # against the events.jsonl of each run
    python read_tensorboard.py fixture > ../../test/fixtures/tensorboard.json

Needs tensorboard 2.21.0 (PyPI); TensorFlow is not needed.
"""
import io
import json
import pathlib
import struct
import sys

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

SCALARS = {"loss": "train/loss", "learningRate": "train/learning_rate", "gradientNorm": "train/gradient_norm"}


def scalars(place):
    events = EventAccumulator(str(place), size_guidance={"scalars": 0})
    events.Reload()
    return {tag: [[one.step, one.value] for one in events.Scalars(tag)] for tag in events.Tags()["scalars"]}


def single(value):
    return struct.unpack("<f", struct.pack("<f", value))[0]


def check(run):
    found = scalars(run / "tensorboard")
    lines = [json.loads(line) for line in (run / "events.jsonl").read_text().splitlines()]
    steps = [line for line in lines if line["event"] == "step"]
    assert steps, f"{run} has no steps"
    for name, tag in SCALARS.items():
        wanted = [[line["step"], single(line[name])] for line in steps]
        assert found[tag] == wanted, f"{run}: {tag} is {found[tag]}, events.jsonl has {wanted}"
    evaluations = [line for line in lines if line["event"] == "evaluate"]
    for name in {name for line in evaluations for name in line["metrics"]}:
        wanted = [[line["step"], single(line["metrics"][name])] for line in evaluations]
        assert found[f"dev/{name}"] == wanted, f"{run}: dev/{name}"
    print(f"{run}: {len(found)} tags, {len(steps)} steps and {len(evaluations)} evaluations as in events.jsonl")


def fixture():
    """Records of test/train/tensorboard.test.ts, as tensorboard's own writer has them."""
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.summary.writer.record_writer import RecordWriter

    def scalars(time, step, **values):
        tags = {"loss": "train/loss", "rate": "train/learning_rate", "accuracy": "dev/accuracy"}
        made = [Summary.Value(tag=tags[name], simple_value=value) for name, value in values.items()]
        return Event(wall_time=time, step=step, summary=Summary(value=made))

    events = {
        "version": Event(wall_time=1700000000.25, file_version="brain.Event:2"),
        "scalars": scalars(1700000001.5, 3, loss=0.625, rate=0.0005),
        "far": scalars(1700000002, 300_000, accuracy=1),
    }
    made = {"madeBy": "scripts/oracle/read_tensorboard.py fixture, tensorboard 2.21.0"}
    for name, event in events.items():
        out = io.BytesIO()
        RecordWriter(out).write(event.SerializeToString())
        made[name] = out.getvalue().hex()
    print(json.dumps(made, indent=2))


if __name__ == "__main__":
    if sys.argv[1:2] == ["fixture"]:
        fixture()
    elif sys.argv[1:2] == ["--check"]:
        for folder in sys.argv[2:]:
            check(pathlib.Path(folder))
    else:
        print(json.dumps({place: scalars(place) for place in sys.argv[1:]}, indent=1))
