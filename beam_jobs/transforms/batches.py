"""Interactions many at a time, between the steps of one bundle.

Most of the cost of a cheap step is Beam's, per element. A Batched DoFn pays it once a
batch. Collections keep `Interaction` as their element type: Beam takes batches apart
for a step that wants single elements, and gathers elements for one that wants batches.
"""

from __future__ import annotations

import apache_beam as beam
from apache_beam.typehints import List

from beam_jobs.logs.interactions import Interaction

BATCH_SIZE = 1000
"""Interactions that the reader hands on at once."""

Batch = list[Interaction]


class InteractionsDoFn(beam.DoFn):
    """DoFn whose `process_batch` takes a `Batch`."""

    def get_input_batch_type(self, input_element_type: object) -> object:
        """Lists of the collection's declared element type, be it `Any`."""
        return List[input_element_type]
