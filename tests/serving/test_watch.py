"""Metrics of what is asked and answered, read by Prometheus' own parser."""

import json
import shutil

import pytest
from prometheus_client import parser

from serving import metrics
from serving.servables import watch
from serving.servables.servable import Servable
from tests.s4rec_tf.export.standin import MAX_LENGTH
from tests.serving import inside
from tests.serving.export_requests import predict_request

NAME = "watched"
CORE = 5
KNOWN, NEW = "item-3", "came yesterday"


@pytest.fixture(scope="module")
def servable(served_export, tmp_path_factory):
    """An export of a dataset whose users have five actions at least."""
    base = tmp_path_factory.mktemp("watch") / "demo"
    shutil.copytree(served_export.export_dir, base)
    edit_manifest(base, k_core=CORE)
    return Servable(base / "1", NAME, is_watched=True)


def edit_manifest(base, **values):
    path = base / ".meta" / "1" / "MANIFEST.json"
    manifest = json.loads(path.read_text()) | values
    path.write_text(json.dumps(manifest))
    return manifest


def counts():
    """Samples of this test's model, by name and further labels."""
    found = {}
    for family in parser.text_string_to_metric_families(metrics.page()):
        for sample in family.samples:
            labels = dict(sample.labels)
            if (
                sample.name.startswith(":s4rec:answers")
                and labels.pop("model_name") == NAME
            ):
                assert labels.pop("version") == "1"
                # The parser names counters as OpenMetrics does.
                name = sample.name.removeprefix(":s4rec:answers:")
                name = name.removesuffix("_total")
                found[name, *labels.values()] = sample.value
    return found


def changes(servable, *histories, signature="serving_default", **inputs):
    before = counts()
    padded = [[""] * (MAX_LENGTH - len(h)) + list(h) for h in histories]
    request = predict_request(signature, NAME, history=padded, **inputs)
    servable.predict(request)
    return {key: v - before[key] for key, v in counts().items() if v != before[key]}


def test_warm_up_is_not_counted(servable):
    assert servable.version == 1 and not any(counts().values())


def test_new_items_are_counted_as_unknown_and_answered_without(servable):
    found = changes(servable, [KNOWN, NEW, NEW, "item-9"], [NEW])
    assert found["history_item_count", "known"] == 2
    assert found["history_item_count", "unknown"] == 3
    assert found["history_length_sum",] == 5 and found["history_length_count",] == 2
    assert found["history_length_bucket", "1.0"] == 1
    assert found["row_count", "model", "below_core"] == 1
    assert found["row_count", "fallback", "below_core"] == 1
    answers = [
        servable.predict(predict_request(name=NAME, history=[[""] * (8 - len(h)) + h]))
        for h in ([KNOWN, NEW, "item-9"], [KNOWN, "item-9"])
    ]
    assert answers[0].outputs == answers[1].outputs


def test_users_of_the_core_and_below_are_told_apart(servable):
    items = [f"item-{n}" for n in range(1, CORE + 1)]
    found = changes(
        servable, items, items[1:], signature="recommend", k=[5, 5], exclude=[[""]] * 2
    )
    assert found["row_count", "model", "core"] == 1
    assert found["row_count", "model", "below_core"] == 1


def test_each_tenth_of_best_scores_holds_a_tenth_of_the_validation_users(
    servable, served_export
):
    from s4rec_tf.data import records

    split = records.read_split(served_export.dataset, "valid")
    histories = [[f"item-{n}" for n in split.items(r)[-8:]] for r in range(len(split))]
    found = changes(servable, *histories)
    tenths = [found.get(("best_score_count", str(n)), 0) for n in range(10)]
    assert sum(tenths) == len(split)
    assert all(abs(count - len(split) / 10) <= 1 for count in tenths)


def test_other_questions_are_not_counted(servable):
    history = [KNOWN]
    assert not changes(servable, history, signature="explain", item=["item-9"])
    among = {"k": [3], "exclude": [[""]], "allow": [["", "item-9"]]}
    assert not changes(servable, history, signature="recommend_among", **among)


def test_export_from_before_is_served_unwatched(served_export, tmp_path):
    shutil.copytree(served_export.export_dir, tmp_path / "demo")
    manifest = edit_manifest(tmp_path / "demo")
    assert len(manifest.pop("best_score_deciles")) == 9
    assert watch.watch_of(tmp_path / "demo" / "1", manifest, NAME) is None
    assert watch.watch_of(tmp_path, {"best_score_deciles": []}, NAME) is None


def test_server_watches_where_it_shows_metrics(served_export, tmp_path):
    config = tmp_path / "monitoring.config"
    config.write_text("prometheus_config { enable: true }")
    flags = ("--model_base_path", served_export.export_dir, "--model_name", "shown")
    history = {"history": [""] * 7 + [NEW]}
    for more in ((), ("--monitoring_config_file", config)):
        with inside.server(*flags, *more) as server:
            server.http("POST", "/v1/models/shown:predict", {"instances": [history]})
        row = (
            'row_count{answer="fallback",model_name="shown",user="below_core",'
            'version="1"} 1.0'
        )
        assert (row in metrics.page()) == bool(more)
