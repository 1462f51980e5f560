"""One server of each kind for the whole suite, over every model that it asks."""

from pathlib import Path

import pytest

from tests.serving import inside, processes
from tests.serving.acceptance import models

ALL_VERSIONS = (
    'model_version_policy { all {} } version_labels { key: "stable" value: 1 }'
)
MESSAGE_LIMIT = 1_000_000
METRICS_PATH = "/monitoring/prometheus/metrics"


class Folder:
    """The models and flags of the servers.

    Attributes:
        base: base path by model.
        config: models.config with all of them.
        monitoring: monitoring.config.
    """

    def __init__(self, root: Path, export_dir: Path) -> None:
        self.root = root
        self.base = models.write_all(root / "models")
        self.base["demo"] = export_dir
        self.base["versions"] = root / "versions"
        # Every version is the same: x is asked for, the version is what differs.
        inside.link_versions(
            self.base["half_plus_two"] / models.VERSION,
            *(self.base["versions"], 1, 2, 5),
        )
        self.config = root / "models.config"
        self.config.write_text(
            inside.models_config(
                *(
                    (name, base, ALL_VERSIONS if name == "versions" else "")
                    for name, base in self.base.items()
                )
            )
        )
        self.monitoring = root / "monitoring.config"
        self.monitoring.write_text(
            f'prometheus_config {{ enable: true path: "{METRICS_PATH}" }}'
        )

    def flags(self, name: str) -> list[str]:
        """Flags that both servers know; `name` is that of the Unix socket."""
        return [
            f"--model_config_file={self.config}",
            f"--monitoring_config_file={self.monitoring}",
            f"--grpc_socket_path={self.root / name}",
            f"--grpc_channel_arguments=grpc.max_receive_message_length={MESSAGE_LIMIT}",
        ]


@pytest.fixture(scope="session")
def folder(served_export, tmp_path_factory) -> Folder:
    return Folder(tmp_path_factory.mktemp("acceptance"), served_export.export_dir)


@pytest.fixture(scope="session")
def own_server(folder):
    """The embedded server."""
    server = processes.start_own(folder.root / "own.log", *folder.flags("own.socket"))
    server.socket = folder.root / "own.socket"
    yield server
    server.close()


@pytest.fixture(scope="session")
def binary_server(folder):
    """The `tensorflow_model_server` of TF_SERVING_BIN."""
    log = folder.root / "binary.log"
    flags = folder.flags("binary.socket")
    server = processes.start_binary(log, "demo", *flags)
    server.socket = folder.root / "binary.socket"
    yield server
    server.close()


@pytest.fixture(
    params=[
        "own_server",
        pytest.param("binary_server", marks=pytest.mark.tfserving),
    ]
)
def server(request):
    """Each server in turn; the binary only where its marker is asked for."""
    return request.getfixturevalue(request.param)
