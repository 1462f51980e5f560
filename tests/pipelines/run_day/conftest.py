import pytest

from pipelines.run_day import driver
from pipelines.run_day.folders import Base
from pipelines.run_day.settings import Settings
from tests.pipelines.run_day.fake_stages import FakeStages


class World:
    """A base folder, logs and stand-ins for the stages."""

    def __init__(self, root):
        self.root = root
        self.base = Base(root / "base", "shop")
        self.stages, self.reported = FakeStages(), []

    def log(self, number, text=None):
        path = self.root / f"log-{number}.csv"
        path.write_text(text or f"log {number}")
        return path

    def run(self, *numbers, take_left_out=False, **settings):
        """Runs a day on logs 1, 2, ...; the outcome and the modules that ran."""
        paths = [self.root / f"log-{number}.csv" for number in numbers]
        for number, path in zip(numbers, paths, strict=True):
            if not path.exists():
                self.log(number)
        self.stages.calls.clear()
        self.stages.lines.clear()
        self.reported.clear()
        where = (self.base, Settings(**settings), paths, take_left_out)
        return driver.run(*where, self.stages, self.reported.append)

    def served(self):
        """Content of the versions that servers see, by name."""
        found = sorted(self.base.served.glob("[0-9]*/saved_model.pb"))
        return {path.parent.name: path.read_text() for path in found}


@pytest.fixture
def world(tmp_path):
    return World(tmp_path)
