import json

import pytest

from s4rec_tf.runs import config
from s4rec_tf.runs.run_dir import RunDir
from tests import forked


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["epoch=3"], r"'epoch' is no setting of s4rec. Did you mean 'epochs'"),
        (["epochs"], r"key=value. Received: 'epochs'"),
        (["epochs=many"], r"`epochs` must be of type int. Received: 'many'"),
        (["epochs=0"], r"`epochs` must be at least 1. Received: 0"),
        (["loss=hinge"], r"`loss` must be one of softmax.*Received: 'hinge'"),
        (["dropout=1.5"], r"`dropout` must lie in \[0, 1\). Received: 1.5"),
        (["num_heads=5"], r"num_heads=5, dim=64"),
        (["tau_1=0"], r"`tau_1` must be positive. Received: 0"),
        (["learning_rate=inf"], r"finite. Received: 'inf'"),
        (["decoupled=maybe"], r"true or false. Received: 'maybe'"),
        (["mask_ratio=2"], r"`mask_ratio` must lie in \[0, 1\]. Received: 2.0"),
        (["operators=mask,flip"], r"`operators`.*Received: \('mask', 'flip'\)"),
        (["seed=-1"], r"`seed` must lie in .*Received: -1"),
    ],
)
def test_a_wrong_setting_is_named_with_the_rule(overrides, message):
    with pytest.raises(config.ConfigError, match=message):
        config.resolve("s4rec", None, overrides)


def test_a_wrong_key_names_the_right_ones():
    with pytest.raises(config.ConfigError, match=r"alpha, .*epochs, .*tau_3"):
        config.resolve("s4rec", None, ["temperature=1"])


def test_settings_of_another_model_are_refused():
    with pytest.raises(config.ConfigError, match="'alpha' is no setting of sasrec"):
        config.resolve("sasrec", None, ["alpha=0.1"])


def test_file_then_overrides(tmp_path):
    path = tmp_path / "mine.json"
    path.write_text(json.dumps({"model": "s4rec", "alpha": 0.5, "epochs": 7}))
    resolved = config.resolve(None, str(path), ["epochs=9", "operators=mask,insert"])
    flat = resolved.flat()
    assert (flat["model"], flat["alpha"], flat["epochs"]) == ("s4rec", 0.5, 9)
    assert flat["operators"] == ["mask", "insert"]


def test_a_model_other_than_the_files_is_refused(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("model: sasrec\n")
    with pytest.raises(config.ConfigError, match=r"'s4rec'.*'sasrec'"):
        config.resolve("s4rec", str(path))


@pytest.mark.parametrize("text", ["- a\n- b\n", "model: [unclosed"])
def test_a_file_that_is_no_configuration(tmp_path, text):
    path = tmp_path / "broken.yaml"
    path.write_text(text)
    with pytest.raises(config.ConfigError, match=r"broken\.yaml"):
        config.resolve("s4rec", str(path))


def test_a_key_that_stands_twice_is_an_error(tmp_path):
    path = tmp_path / "twice.yaml"
    path.write_text("model: sasrec\nepochs: 3\nmodel: bpr\n")
    with pytest.raises(config.ConfigError, match=r"twice\.yaml.*'model'.*line 3"):
        config.resolve(None, str(path))


@pytest.mark.parametrize("path", sorted(config.CONFIG_FOLDER.glob("*.yaml")))
def test_shipped_configurations_resolve(path):
    model = config.resolve(None, path.stem).flat()["model"]
    assert model in path.stem or (path.stem, model) == ("default", "s4rec")


def test_default_is_what_the_code_takes_by_itself():
    assert config.resolve(None, "default") == config.resolve("s4rec")


def test_papers_configuration_is_that_of_its_appendix():
    flat = config.resolve(None, "s4rec_paper").flat()
    expected = {
        "dim": 64,
        "max_length": 50,
        "batch_size": 512,
        "num_intents": 128,
        "dropout": 0.5,
        "learning_rate": 1e-3,
        "optimizer": "adam",
        "loss": "bce",
        "samples": "sequence",
        "alpha": 0.01,
        "beta_1": 0.1,
        "beta_2": 0.1,
        "lambda_adv": 1.0,
    }
    assert {key: flat[key] for key in expected} == expected


def train_command(*flags):
    return forked.run("s4rec_tf.train", *flags)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--run_dir=r", "--model=s4rec"], "--dataset"),
        (["--dataset=d", "--run_dir=r"], "--model"),
        (["--dataset=d", "--run_dir=r", "--mod=s4rec"], "--mod"),
        (["--dataset=d", "--run_dir=r", "--model=s4rec", "--strategy=tpu"], "tpu"),
    ],
)
def test_usage_errors_are_clear(flags, message):
    done = train_command(*flags)
    assert done.returncode == 2
    assert message in done.stderr and "Traceback" not in done.stderr


def test_a_missing_dataset_is_one_clear_line(tmp_path):
    done = train_command(
        f"--dataset={tmp_path}/none", f"--run_dir={tmp_path}/run", "--model=popularity"
    )
    assert done.returncode == 1
    assert done.stderr.strip().splitlines()[-1].startswith("train: dataset folder")
    assert not (tmp_path / "run" / "config.json").exists()


@pytest.mark.parametrize("old", ["file", "override"])
def test_an_old_name_of_a_setting_is_read_with_a_line_of_warning(tmp_path, caplog, old):
    path = tmp_path / "mine.yaml"
    path.write_text("hidden_share: 0.3\n" if old == "file" else "mask_prob: 0.1\n")
    overrides = [] if old == "file" else ["hidden_share=0.3"]
    with caplog.at_level("WARNING"):
        resolved = config.resolve("sasrec", str(path), overrides)
    assert resolved.model_settings.mask_prob == 0.3
    assert caplog.messages == ["the setting 'hidden_share' is now 'mask_prob'"]


def test_a_new_name_overrides_the_old_one_of_a_file(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("hidden_share: 0.3\n")
    resolved = config.resolve("sasrec", str(path), ["mask_prob=0.1"])
    assert resolved.model_settings.mask_prob == 0.1


def test_the_configuration_of_an_old_run_folder_is_read(tmp_path, caplog):
    now = config.resolve("sasrec", None, ["mask_prob=0.2"])
    then = now.flat()
    then |= {"hidden_share": then.pop("mask_prob"), "encoder_rows": 128}
    run = RunDir(tmp_path)
    run.config.write_text(json.dumps(then))
    with caplog.at_level("WARNING"):
        assert run.read_config() == now
    assert caplog.messages == [
        "the setting 'hidden_share' is now 'mask_prob'",
        "the setting 'encoder_rows' is no more, and is ignored",
    ]
