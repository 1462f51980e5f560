import pytest
import yaml

from pipelines.experiments.queue_files import (
    QUEUE_FOLDER,
    QueueError,
    read_entries,
    read_queue,
)

ENTRY = {"dataset": "beauty", "model": "s4rec", "seeds": [1, 2]}


@pytest.fixture
def queue(tmp_path):
    def write(*entries):
        path = tmp_path / "queue.yaml"
        path.write_text(yaml.safe_dump(list(entries), sort_keys=False))
        return path

    return write


def test_entries_expand_in_order_with_seeds_innermost(queue):
    settings = {"alpha": 0, "operators": ["mask", "crop"], "normalize_prototypes": True}
    ablation = ENTRY | {
        "config": "s4rec_beauty",
        "settings": settings,
        "variant": "without_x",
    }
    runs = read_queue(queue(ENTRY, ablation))
    assert [(run.config, run.variant, run.seed) for run in runs] == [
        ("defaults", "main", 1),
        ("defaults", "main", 2),
        ("s4rec_beauty", "without_x", 1),
        ("s4rec_beauty", "without_x", 2),
    ]
    assert runs[0].settings == {} and runs[0].config_text is None
    # As the settings hold them, so that 0 and 0.0 are one run.
    assert runs[2].settings["alpha"] == 0.0
    assert isinstance(runs[2].settings["alpha"], float)
    assert runs[2].resolved["seed"] == 1 and runs[2].resolved["alpha"] == 0.0
    overrides = ["alpha=0.0", "operators=mask,crop", "normalize_prototypes=True"]
    assert runs[3].overrides == [*overrides, "seed=2"]


def test_a_configuration_file_is_called_by_its_name(queue, tmp_path):
    config = tmp_path / "wide.yaml"
    config.write_text("model: sasrec\ndim: 128\nseed: 7\n")
    entry = {"dataset": "toys", "model": "sasrec", "config": str(config), "seeds": [3]}
    (run,) = read_queue(queue(entry))
    assert (run.config, run.config_text) == ("wide", config.read_text())
    assert (run.resolved["dim"], run.resolved["seed"]) == (128, 3)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"dataset": "books"}, "`dataset` must be one of beauty, .*'books'"),
        ({"dataset": ["beauty"]}, "`dataset` must be one of"),
        ({"model": "gru"}, "'gru'"),
        ({"model": None}, "`model` must be the name of a model. Received: None"),
        ({"seeds": []}, "`seeds` must be a list of different whole numbers"),
        ({"seeds": [1, 1]}, r"`seeds` must be .*\[1, 1\]"),
        ({"seeds": [True]}, r"`seeds` must be .*\[True\]"),
        ({"seeds": [-1]}, "`seed` must lie in .*Received: -1"),
        ({"seed": 1}, "a key must be one of dataset, .*Received: seed"),
        ({"variant": "a b"}, "`variant` must be a name .*'a b'"),
        ({"settings": {"seed": 3}}, "`settings` must be .*'seed': 3"),
        ({"settings": {"alpha": None}}, "`settings` must be .*None"),
        ({"settings": {"alhpa": 1}}, "'alhpa' is no setting .*'alpha'"),
        ({"settings": {"alpha": "much"}}, "`alpha` must be of type float.*'much'"),
        ({"config": "s4rec_mars"}, "--config must be a file or one of .*'s4rec_mars'"),
        ({"config": "sasrec_beauty"}, "'s4rec', but the configuration sasrec_beauty"),
    ],
)
def test_a_wrong_entry_is_named_before_anything_starts(queue, change, message):
    with pytest.raises(QueueError, match=message) as error:
        read_queue(queue(ENTRY, ENTRY | change))
    assert "queue.yaml, entry 2: " in str(error.value)
    assert "\n" not in str(error.value)


def test_a_file_may_not_take_a_shipped_name(queue, tmp_path):
    config = tmp_path / "s4rec_beauty.yaml"
    config.write_text("model: s4rec\n")
    with pytest.raises(QueueError, match="a file with a name of its own"):
        read_queue(queue(ENTRY | {"config": str(config)}))


@pytest.mark.parametrize(
    "content", ["", "a: 1", "[]", "- 3", "- [", "- {a: 1, a: 2}", "\x00"]
)
def test_a_file_that_is_no_queue(tmp_path, content):
    path = tmp_path / "queue.yaml"
    path.write_text(content)
    with pytest.raises(QueueError, match=r"queue\.yaml"):
        read_queue(path)
    with pytest.raises(QueueError, match="none"):
        read_queue(tmp_path / "none.yaml")


@pytest.mark.parametrize("name", sorted(p.stem for p in QUEUE_FOLDER.glob("*.yaml")))
def test_shipped_queues_resolve_and_name_each_run_once(name):
    runs = [
        (run.dataset, run.model, run.config, run.variant, run.seed)
        for run in shipped(name)
    ]
    assert len(set(runs)) == len(runs) > 0


def shipped(name):
    return read_queue(QUEUE_FOLDER / f"{name}.yaml")


def test_the_ablations_switch_off_what_they_say():
    entries = read_entries(QUEUE_FOLDER / "ablations_beauty.yaml")
    found = {(e["model"], e["variant"]): e["settings"] for e in entries}
    assert found == {
        ("sasrec", "main"): {},
        ("s4rec", "main"): {},
        ("s4rec", "sr_csd"): {"clustering": "kmeans", "lambda_adv": 0},
        ("s4rec", "sr_csd_gr"): {"clustering": "kmeans"},
        ("s4rec", "without_csd"): {"alpha": 0, "beta_1": 0, "beta_2": 0},
        ("s4rec", "without_gr"): {"lambda_adv": 0},
    }
    assert all(e["seeds"] == [1, 2, 3] for e in entries) and len(entries) == 6


def test_the_short_ablations_are_the_same_in_fewer_epochs():
    long = read_entries(QUEUE_FOLDER / "ablations_beauty.yaml")
    short = read_entries(QUEUE_FOLDER / "ablations_beauty_short.yaml")
    own = {
        "s4rec": {"epochs": 8, "gamma_ramp_steps": 4000},
        "sasrec": {"epochs": 8, "learning_rate": 0.002, "hidden_share": 0},
    }
    names = {e["variant"]: f"short_{e['variant']}" for e in long} | {"main": "short"}
    assert {(e["model"], e["variant"]): e["settings"] for e in short} == {
        (e["model"], names[e["variant"]]): e["settings"] | own[e["model"]] for e in long
    }


def test_sr_only_of_the_paper_is_its_s4rec_without_the_terms():
    sasrec, s4rec = (
        run.resolved
        for run in shipped("faithful_beauty")
        if run.seed == 1 and run.variant == "faithful"
    )
    differing = {key for key in sasrec if sasrec[key] != s4rec[key]}
    # Views are made for S4Rec alone.
    views = {"mask_ratio", "crop_kept", "reorder_ratio", "insert_ratio"}
    assert differing <= {"model"} | views
