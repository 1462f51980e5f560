"""Which version is served, decided without TensorFlow."""

import weakref

import pytest
from grpc import StatusCode

from serving.status import StatusError
from serving.versions.manager import VersionManager, versions_on_disk
from serving.versions.states import State


class FakeServable:
    def __init__(self, path):
        self.version = int(path.name)


class Loader:
    """Loads fake servables; fails for the versions in `broken`.

    `servables` holds those that something else refers to.
    """

    def __init__(self):
        self.broken = set()
        self.loaded = []
        self.servables = weakref.WeakValueDictionary()

    def __call__(self, path):
        number = int(path.name)
        self.loaded.append(number)
        if number in self.broken:
            raise StatusError(StatusCode.DATA_LOSS, f"{number} is broken")
        self.servables[number] = servable = FakeServable(path)
        return servable


@pytest.fixture
def loader():
    return Loader()


def manager(tmp_path, loader, **settings):
    return VersionManager("demo", tmp_path, loader, **{"retry_seconds": 0, **settings})


def add(tmp_path, *numbers):
    for number in numbers:
        (tmp_path / str(number)).mkdir()


def test_versions_are_folders_with_numbers_as_names(tmp_path):
    add(
        tmp_path,
        "1",
        "00012",
        "-3",
        "1.5",
        "seven",
        ".meta",
        "\N{ARABIC-INDIC DIGIT ONE}",
    )
    add(tmp_path, "9" * 30, "9" * 200, 2**63 - 1, 2**63)
    (tmp_path / "4").write_text("a file")
    assert sorted(versions_on_disk(tmp_path)) == [1, 12, 2**63 - 1]


def test_missing_base_path_is_an_error_and_not_an_empty_one(tmp_path):
    with pytest.raises(StatusError, match="none"):
        versions_on_disk(tmp_path / "none")


def test_newest_is_loaded_and_the_old_goes_with_its_last_user(tmp_path, loader):
    add(tmp_path, 1, 2)
    versions = manager(tmp_path, loader)
    versions.poll()
    assert loader.loaded == [2]
    old = versions.find()
    add(tmp_path, 10)
    versions.poll()
    assert loader.servables[2] is old
    assert versions.find().version == 10
    del old
    assert set(loader.servables) == {10}
    states = {number: status.state for number, status in versions.statuses().items()}
    assert states == {2: State.END, 10: State.AVAILABLE}


def test_polls_without_change_load_nothing(tmp_path, loader):
    add(tmp_path, 1, 2)
    versions = manager(tmp_path, loader)
    for _ in range(3):
        versions.poll()
    assert loader.loaded == [2]


def test_broken_version_is_tried_a_bounded_number_of_times(tmp_path, loader):
    add(tmp_path, 1)
    versions = manager(tmp_path, loader, max_retries=2)
    versions.poll()
    loader.broken = {2}
    add(tmp_path, 2)
    for _ in range(10):
        versions.poll()
        assert versions.serving_version == 1
    assert loader.loaded == [1, 2, 2, 2]
    status = versions.statuses()[2]
    assert (status.state, status.code) == (State.END, StatusCode.DATA_LOSS)
    assert status.message == "2 is broken"


def test_retry_waits_its_interval(tmp_path, loader):
    add(tmp_path, 1)
    loader.broken = {1}
    versions = manager(tmp_path, loader, retry_seconds=1000)
    for _ in range(5):
        versions.poll()
    assert loader.loaded == [1]
    assert versions.terminal_failure() is None


def test_at_the_start_an_older_good_version_is_better_than_none(tmp_path, loader):
    add(tmp_path, 1, 2, 3)
    loader.broken = {3}
    versions = manager(tmp_path, loader, retry_seconds=1000)
    versions.poll()
    assert versions.serving_version == 2


def test_repaired_folder_counts_as_new(tmp_path, loader):
    add(tmp_path, 1)
    loader.broken = {1}
    versions = manager(tmp_path, loader, max_retries=0)
    versions.poll()
    versions.poll()
    assert loader.loaded == [1]
    assert versions.terminal_failure() == "version 1: 1 is broken"
    (tmp_path / "1").rename(tmp_path / "aside")
    add(tmp_path, 1)
    loader.broken = set()
    versions.poll()
    assert versions.serving_version == 1
    assert versions.terminal_failure() is None


def test_deleting_the_newest_goes_back(tmp_path, loader):
    add(tmp_path, 1, 2)
    versions = manager(tmp_path, loader)
    versions.poll()
    (tmp_path / "2").rmdir()
    versions.poll()
    assert versions.serving_version == 1
    assert set(loader.servables) == {1}


def test_what_is_served_stays_when_the_folders_go(tmp_path, loader):
    add(tmp_path, 1)
    versions = manager(tmp_path, loader)
    versions.poll()
    (tmp_path / "1").rmdir()
    versions.poll()
    assert versions.serving_version == 1


@pytest.mark.parametrize(
    ("version", "text"), [(None, r"Latest\(demo\)"), (3, r"Specific\(demo, 3\)")]
)
def test_version_that_is_not_served_is_not_found(tmp_path, loader, version, text):
    versions = manager(tmp_path, loader)
    with pytest.raises(StatusError, match=text) as caught:
        versions.find(version)
    assert caught.value.code is StatusCode.NOT_FOUND


def test_stop_lets_go_of_what_is_served(tmp_path, loader):
    add(tmp_path, 1)
    versions = manager(tmp_path, loader, poll_seconds=0.01)
    versions.poll()
    versions.start()
    versions.stop()
    assert not loader.servables
    with pytest.raises(StatusError):
        versions.find()


def test_model_one_level_too_deep_is_named(tmp_path, loader, caplog):
    caplog.set_level("WARNING")
    (tmp_path / "saved_model.pb").write_bytes(b"")
    versions = manager(tmp_path, loader)
    versions.poll()
    assert f"{tmp_path.name}/1/saved_model.pb" in caplog.text
    add(tmp_path, 1)
    versions.poll()
    assert versions.serving_version == 1


def replace(tmp_path, number):
    """Puts another folder in the place of a version's."""
    (tmp_path / str(number)).rename(tmp_path / "aside")
    (tmp_path / str(number)).mkdir()
    (tmp_path / str(number) / "saved_model.pb").write_bytes(b"another")


def test_served_version_that_is_replaced_is_loaded(tmp_path, loader, caplog):
    caplog.set_level("WARNING")
    add(tmp_path, 1)
    versions = manager(tmp_path, loader)
    versions.poll()
    old = weakref.ref(loader.servables[1])
    replace(tmp_path, 1)
    versions.poll()
    versions.poll()
    assert loader.loaded == [1, 1]
    assert old() is None and versions.find() is loader.servables[1]
    assert "version 1 of demo was replaced" in caplog.text
    assert versions.statuses()[1].state is State.AVAILABLE


def test_base_path_that_is_a_link_to_another_is_loaded(tmp_path, loader):
    for name in ("old", "new"):
        (tmp_path / name / "1").mkdir(parents=True)
    link = tmp_path / "current"
    link.symlink_to("old")
    versions = manager(link, loader)
    versions.poll()
    link.unlink()
    link.symlink_to("new")
    versions.poll()
    assert loader.loaded == [1, 1]


def test_what_is_replaced_by_something_broken_answers_on(tmp_path, loader):
    add(tmp_path, 1)
    versions = manager(tmp_path, loader, max_retries=1)
    versions.poll()
    loader.broken = {1}
    replace(tmp_path, 1)
    for _ in range(5):
        versions.poll()
    assert loader.loaded == [1, 1, 1]
    assert versions.available() == {1}
    assert versions.statuses()[1].state is State.AVAILABLE
    assert versions.find() is loader.servables[1]


def test_a_file_that_is_completed_counts_as_new(tmp_path, loader):
    add(tmp_path, 1)
    (tmp_path / "1" / "vocabulary").write_text("a\n")
    loader.broken = {1}
    versions = manager(tmp_path, loader, max_retries=0, retry_seconds=1000)
    versions.poll()
    versions.poll()
    assert loader.loaded == [1]
    loader.broken = set()
    with (tmp_path / "1" / "vocabulary").open("a") as file:
        file.write("b\n")
    versions.poll()
    assert versions.serving_version == 1


def test_retries_without_end(tmp_path, loader):
    add(tmp_path, 1)
    loader.broken = {1}
    versions = manager(tmp_path, loader, max_retries=-1)
    for _ in range(20):
        versions.poll()
    assert loader.loaded == [1] * 20
    assert versions.terminal_failure() is None


def test_without_a_pause_there_is_one_look(tmp_path, loader):
    add(tmp_path, 1)
    versions = manager(tmp_path, loader, poll_seconds=0)
    versions.poll()
    versions.start()
    add(tmp_path, 2)
    versions.stop()
    assert loader.loaded == [1]
