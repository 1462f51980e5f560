import pytest

from pipelines.tune import __main__ as command
from s4rec_tf.exit_codes import ExitCode
from s4rec_tf.models.registry import MODELS
from s4rec_tf.runs import config
from s4rec_tf.search_ranges import Choices, contains, ranges_of

SEARCHED = sorted(set(MODELS) - {"popularity"})


@pytest.mark.parametrize("model", SEARCHED)
def test_every_model_declares_ranges_that_hold_its_default_and_build(model):
    base = config.resolve(model)
    ranges = ranges_of(MODELS[model].Settings)
    assert ranges
    for key, declared in ranges.items():
        assert contains(declared, base.flat()[key]), key
        is_choice = isinstance(declared, Choices)
        ends = declared.values if is_choice else (declared.low, declared.high)
        for value in ends:
            built = config.from_flat({"model": model, key: value})
            assert built.flat()[key] == value
    # All at once at each end, where settings could exclude each other.
    for end in (0, -1):
        values = {
            key: r.values[end] if isinstance(r, Choices) else (r.low, r.high)[end]
            for key, r in ranges.items()
        }
        config.from_flat({"model": model, **values})


def ranges(model, keys=None, fixed=()):
    base = config.resolve(model, None, list(fixed))
    return command.searched_ranges(base, keys, list(fixed))


def test_set_and_keys_narrow_the_search():
    everything = ranges("bpr")
    assert set(everything) == {"dim", "regularization", "learning_rate"}
    assert set(ranges("bpr", fixed=["dim=32"])) == {"regularization", "learning_rate"}
    assert set(ranges("bpr", keys="dim, learning_rate")) == {"dim", "learning_rate"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("popularity",), "popularity declares no range"),
        (("bpr", "nothing"), "--keys must be some of .*'nothing'"),
        (("bpr", "dim", ["dim=32"]), "--set fixes every key"),
    ],
)
def test_searches_of_nothing_are_refused(arguments, message):
    with pytest.raises(config.ConfigError, match=message):
        ranges(*arguments)


@pytest.mark.parametrize(
    "flags",
    [
        [],
        ["--model", "bpr", "--trials", "0"],
        ["--model", "bpr", "--minutes", "-1"],
    ],
)
def test_wrong_flags_exit_with_usage(flags):
    with pytest.raises(SystemExit) as stopped:
        command.parse_args(["--dataset", "data", *flags])
    assert stopped.value.code == ExitCode.USAGE


def test_missing_dataset_fails_and_says_so(tmp_path, capsys):
    flags = ["--dataset", str(tmp_path / "nowhere"), "--model", "bpr"]
    assert command.main([*flags, "--output", str(tmp_path)]) == ExitCode.FAILED
    assert "nowhere does not exist" in capsys.readouterr().err
