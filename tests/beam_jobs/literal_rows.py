"""Runs a transform on rows that a test names, and gives its outputs as lists."""

import json

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions

OPTIONS = PipelineOptions(["--runner=FnApiRunner", "--no_save_main_session"])


def outputs_of(folder, wire):
    """The outputs of `wire(pipeline)`, a dictionary of collections, as sorted lists."""
    with beam.Pipeline(options=OPTIONS) as pipeline:
        for name, collection in wire(pipeline).items():
            (
                collection
                | f"List/{name}" >> beam.combiners.ToList()
                | f"Keep/{name}" >> beam.Map(_keep, str(folder / f"{name}.json"))
            )
    found = {path.stem: json.loads(path.read_text()) for path in folder.glob("*.json")}
    return {name: sorted(rows, key=repr) for name, rows in found.items()}


def _keep(rows, path):
    with open(path, "w") as stream:
        json.dump(rows, stream, default=_as_text)


def _as_text(value):
    return value.decode()
