"""Values of all elements, made on one worker."""

import apache_beam as beam
import pytest
from apache_beam.testing.test_pipeline import TestPipeline
from apache_beam.testing.util import assert_that, equal_to

from beam_jobs.transforms.singletons import CombineOnOneWorker, OncePerObject


@pytest.mark.parametrize(
    ("elements", "total"), [([], 0), ([3, 4], 7), (range(5001), 12_502_500)]
)
def test_all_elements_make_one_value(elements, total):
    combiner = beam.CombineFn.from_callable(sum)
    with TestPipeline(runner="FnApiRunner") as pipeline:
        value = pipeline | beam.Create(elements) | CombineOnOneWorker(combiner)
        assert_that(value, equal_to([total]))


def test_a_copy_of_a_side_input_is_looked_at_once():
    calls = []

    def length(value):
        calls.append(value)
        return len(value)

    held = OncePerObject(length)
    first, copy = b"ab" * 1000, b"".join([b"ab" * 999, b"ab"])
    assert [held(value) for value in (first, first, copy, copy, first)] == [2000] * 5
    assert list(map(id, calls)) == [id(first), id(copy), id(first)]
