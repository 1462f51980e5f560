import pytest

from tests.s4rec_tf.export import standin
from tests.serving import processes


@pytest.fixture(scope="session")
def served_export(tmp_path_factory) -> standin.Exported:
    return standin.export_once(tmp_path_factory)


@pytest.fixture(scope="session")
def embedded(served_export, tmp_path_factory):
    log = tmp_path_factory.mktemp("embedded") / "log"
    server = processes.start_embedded("demo", served_export.export_dir, log)
    server.log = log
    yield server
    server.close()
