"""Writes test/fixtures/parquet: small Parquet files as pandas and the datasets library write them.
Read by src/data/read.

    pip install pyarrow==26.0.1
    python scripts/oracle/make_parquet_fixture.py --out test/fixtures/parquet
"""

import argparse
import json
import pathlib

import pyarrow as pa
import pyarrow.parquet as pq

SENTENCES = ["a gripping film", "dull, and far too long", 'a "fine" idea', "naïve 😀", "waste of time", "so good"]
LABELS = [1, 0, 1, 1, 0, 1]


def features(**columns):
    """What datasets writes beside the schema."""
    return {"huggingface": json.dumps({"info": {"features": columns}})}


def class_label(names):
    return {"names": names, "_type": "ClassLabel"}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", required=True)
    out = pathlib.Path(parser.parse_args().out)
    out.mkdir(parents=True, exist_ok=True)

    def write(name, columns, metadata=None, **options):
        table = pa.table(columns).replace_schema_metadata(metadata)
        pq.write_table(table, out / name, **options)
        print(name, (out / name).stat().st_size, "bytes")

    reviews = {"idx": pa.array(range(6), pa.int32()), "sentence": SENTENCES, "label": pa.array(LABELS, pa.int64())}
    for codec in ("none", "snappy", "gzip", "zstd", "brotli", "lz4"):
        write(f"reviews-{codec}.parquet", reviews, compression=codec, row_group_size=4)
    # Names in another order than the alphabet's.
    named = features(sentence={"dtype": "string", "_type": "Value"}, label=class_label(["worse", "better"]))
    write("named.parquet", reviews, named, row_group_size=4)
    pairs = {"premise": ["a", "b"], "hypothesis": ["c", "d"], "score": pa.array([0.5, 4.25], pa.float64())}
    write("pairs.parquet", pairs)
    # Labels that are measured: pandas keeps a column with a gap as floats too.
    floats = {"text": ["a", "b", "c"], "label": pa.array([0, 1, 1], pa.float64())}
    write("floats.parquet", floats)
    words = {"tokens": [["Anna", "sat"], ["Oslo"]], "ner_tags": pa.array([[1, 0], [2]], pa.list_(pa.int64()))}
    tags = {"feature": class_label(["O", "B-PER", "B-LOC"]), "_type": "Sequence"}
    write("words.parquet", words, features(tokens={"feature": {"dtype": "string", "_type": "Value"}, "_type": "Sequence"}, ner_tags=tags))
    write("nulls.parquet", {"text": ["a", None], "label": pa.array([1, 0], pa.int64())})
    # What JSON has no form for: 64-bit numbers in structs and maps, and lists of truth values.
    struct = pa.array([{"id": 1}, {"id": 2**60}], pa.struct([("id", pa.int64())]))
    pairs = pa.array([[("a", 1)], []], pa.map_(pa.string(), pa.int64()))
    flags = pa.array([[False, True], [True, True]], pa.list_(pa.bool_()))
    write("nested.parquet", {"text": ["a", "b"], "struct": struct, "map": pairs, "flags": flags})
    write("unlabelled.parquet", {"sentence": SENTENCES[:2], "label": pa.array([-1, -1], pa.int64())}, named)


if __name__ == "__main__":
    main()
