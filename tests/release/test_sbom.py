"""The list of what an installation holds, as `make sbom` writes it."""

import json

import pytest
from packaging.utils import canonicalize_name

from tests.release.installed import ROOT, UV, run

pytestmark = pytest.mark.release


def normal(packages):
    return {(canonicalize_name(name), version) for name, version in packages}


@pytest.fixture(scope="module")
def sbom(tmp_path_factory):
    path = tmp_path_factory.mktemp("sbom") / "sbom.json"
    run("make", "sbom", f"SBOM={path}", cwd=ROOT)
    return json.loads(path.read_text())


def test_it_holds_every_installed_package_and_its_version(sbom):
    python = ROOT / ".cache" / "sbom-python" / "bin" / "python"
    listed = json.loads(run(UV, "pip", "list", "--python", python, "--format", "json"))
    expected = {(each["name"], each["version"]) for each in listed}
    found = {(each["name"], each["version"]) for each in sbom["components"]}
    assert {name for name, _ in expected} > {"tensorflow", "apache-beam", "grpcio"}
    assert normal(expected) == normal(found)


def test_it_is_cyclonedx_and_names_licences(sbom):
    assert (sbom["bomFormat"], sbom["specVersion"]) == ("CycloneDX", "1.6")
    components = {each["name"]: each for each in sbom["components"]}
    assert "Apache-2.0" in json.dumps(components["s4rec-tf"]["licenses"])
    without = [name for name, each in components.items() if not each.get("licenses")]
    assert len(without) < 0.1 * len(components)
