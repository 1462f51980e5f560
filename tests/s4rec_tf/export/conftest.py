import pytest

from tests.s4rec_tf.export.standin import Exported


@pytest.fixture(scope="session")
def exported(tmp_path_factory) -> Exported:
    return Exported(tmp_path_factory.mktemp("export"))
