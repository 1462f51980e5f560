from typing import Any

import apache_beam as beam
from literal_rows import outputs_of

from beam_jobs.logs.interactions import Interaction
from beam_jobs.transforms.batches import InteractionsDoFn


class Sizes(InteractionsDoFn):
    @beam.DoFn.yields_elements
    def process_batch(self, batch):
        yield len(batch)


def test_elements_of_any_type_come_in_batches_and_all_of_them(tmp_path):
    rows = [Interaction("u", str(n), n) for n in range(5000)]

    def wire(pipeline):
        created = pipeline | beam.Create(rows)
        return {
            name: created
            | f"As/{name}" >> beam.Map(_as_it_is).with_output_types(kind)
            | f"Sizes/{name}" >> beam.ParDo(Sizes())
            for name, kind in (("typed", Interaction), ("untyped", Any))
        }

    found = outputs_of(tmp_path, wire)
    for sizes in found.values():
        assert sum(sizes) == 5000
        assert len(sizes) < 50


def _as_it_is(row: Interaction) -> Interaction:
    return row
