import pytest

from tests.s4rec_tf.export import standin


@pytest.fixture(scope="session")
def exported(tmp_path_factory) -> standin.Exported:
    return standin.export_once(tmp_path_factory)
