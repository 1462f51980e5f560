"""Holds the arrows of docs/architecture.md: who may import whom."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = ("beam_jobs", "benchmarks", "pipelines", "s4rec_tf", "serving")

# What every part may import, but the client, which can be copied out.
EVERYWHERE = {"s4rec_tf.exit_codes"}
# What each part may import of this project, besides itself. The longest name counts.
LEAVES = {"s4rec_tf.spec", "s4rec_tf.atomic_files"}
MATHEMATICS = {"s4rec_tf.spec", "s4rec_tf.backend"}
RANGES = {"s4rec_tf.search_ranges"}
DATA = {"s4rec_tf.data", "s4rec_tf.data.batch_spec"}
MODELS = {"s4rec_tf.models", "s4rec_tf.layers", "s4rec_tf.losses"}
RUNS = {"s4rec_tf.version", "s4rec_tf.yaml_text", "s4rec_tf.runs"}
MEASURES = {"s4rec_tf.ranking", "s4rec_tf.clustering"}
TRAINED = LEAVES | MATHEMATICS | DATA | MODELS | RUNS | MEASURES
RETRIEVAL = {"s4rec_tf.retrieval", "s4rec_tf.retrieval.kinds"}
S4REC_TF = {
    "s4rec_tf",
    *(TRAINED | RETRIEVAL | RANGES | {"s4rec_tf.operations"}),
    *("s4rec_tf.train", "s4rec_tf.evaluate", "s4rec_tf.analyze", "s4rec_tf.export"),
    *("s4rec_tf.train_arrays", "s4rec_tf.report_page"),
}
SERVING = {
    *("serving", "serving.client", "serving.servables", "serving.versions"),
    *("serving.frontends", "serving.triton"),
}
MAY_IMPORT = {
    "s4rec_tf": S4REC_TF,
    "s4rec_tf.version": set(),
    "s4rec_tf.spec": set(),
    "s4rec_tf.atomic_files": set(),
    "s4rec_tf.exit_codes": set(),
    "s4rec_tf.report_page": set(),
    "s4rec_tf.yaml_text": set(),
    "s4rec_tf.search_ranges": set(),
    "s4rec_tf.operations": set(),
    "s4rec_tf.clustering": set(),
    "s4rec_tf.backend": set(),
    "s4rec_tf.layers": MATHEMATICS | {"s4rec_tf.clustering"},
    "s4rec_tf.losses": MATHEMATICS,
    "s4rec_tf.data.batch_spec": set(),
    "s4rec_tf.data": LEAVES | {"s4rec_tf.data.batch_spec", "s4rec_tf.backend"},
    "s4rec_tf.models": {
        *(MATHEMATICS | MODELS | RANGES),
        *("s4rec_tf.clustering", "s4rec_tf.data.batch_spec"),
    },
    "s4rec_tf.runs": LEAVES | DATA | MODELS | RUNS | RANGES,
    "s4rec_tf.ranking": MATHEMATICS | DATA | MODELS,
    "s4rec_tf.train": TRAINED,
    "s4rec_tf.evaluate": TRAINED,
    "s4rec_tf.analyze": TRAINED | {"s4rec_tf.report_page"},
    "s4rec_tf.retrieval.kinds": set(),
    "s4rec_tf.retrieval": {"s4rec_tf.spec", "s4rec_tf.retrieval.kinds"},
    "s4rec_tf.export": TRAINED | RETRIEVAL | {"s4rec_tf.train", "s4rec_tf.operations"},
    "s4rec_tf.arrays": LEAVES | DATA,
    "s4rec_tf.train_arrays": {
        *TRAINED,
        *("s4rec_tf.train", "s4rec_tf.evaluate", "s4rec_tf.analyze"),
    },
    "beam_jobs": LEAVES | {"s4rec_tf.report_page"},
    "serving.client": set(),
    "serving.triton": set(),
    "serving.servables": {"serving", "s4rec_tf.spec", "s4rec_tf.operations"},
    "serving.versions": {"serving", "serving.servables", "s4rec_tf.spec"},
    "serving.frontends": {
        *("serving", "serving.servables", "serving.versions", "s4rec_tf.spec")
    },
    "serving": SERVING,
    "pipelines.processes": set(),
    "pipelines.experiments": {"pipelines.processes", *S4REC_TF},
    "pipelines.report": {"pipelines.experiments", *S4REC_TF},
    "pipelines.local_server": {"pipelines.processes"},
    "pipelines.fork_server": {"pipelines.processes"},
    "pipelines.demo": {
        *("pipelines.processes", "pipelines.report", "pipelines.local_server"),
        "pipelines.fork_server",
    },
    "pipelines.run_day": {
        *("pipelines.processes", "pipelines.local_server", "pipelines.report"),
        "pipelines.run_day.settings",
        *("pipelines.experiments", *S4REC_TF),
    },
    "pipelines.orchestration": {"pipelines.run_day.settings"},
    "pipelines.run_day.settings": set(),
    "pipelines": {
        *(
            "pipelines.run_day",
            "pipelines.run_day.settings",
            "pipelines.processes",
            "pipelines.fork_server",
            "pipelines.experiments",
            "pipelines.report",
        ),
        *("beam_jobs", *SERVING, *S4REC_TF),
    },
    "benchmarks": {"beam_jobs", "pipelines", *SERVING, *S4REC_TF},
}

# Where alone a package may be imported, as the beginnings of module names.
ONLY_IN = {
    "tensorflow_recommenders": ("s4rec_tf.retrieval.index",),
    "tensorflow_data_validation": (
        *("beam_jobs.dataset.validation", "beam_jobs.transforms.statistics"),
    ),
    "apache_beam": ("beam_jobs",),
    "scann": ("s4rec_tf.retrieval.scann_tree", "serving.servables.version_files"),
    "tf_keras": (),
    "cloudpathlib": ("s4rec_tf.runs.store",),
    "jax": (
        *("s4rec_tf.train.jax", "s4rec_tf.ranking.encoding", "s4rec_tf.backend.random"),
        *("benchmarks.jax_device", "benchmarks.jax_worker"),
    ),
    "optuna": ("pipelines.tune",),
    "airflow": ("pipelines.orchestration.dags.s4rec_day",),
    "kfp": ("pipelines.orchestration.kubeflow",),
    "torch": ("benchmarks.torch_worker", "benchmarks.recbole_worker"),
}
WITHOUT_TENSORFLOW = (
    *("s4rec_tf.spec", "s4rec_tf.atomic_files", "s4rec_tf.yaml_text"),
    *("s4rec_tf.search_ranges",),
    *("s4rec_tf.clustering", "s4rec_tf.layers", "s4rec_tf.losses", "s4rec_tf.models"),
    *(
        f"s4rec_tf.data.{name}"
        for name in (
            *("array_file", "augment", "batch_spec", "batches", "correlation"),
            *("corruption", "samples", "sequences", "view_operators"),
        )
    ),
    *("s4rec_tf.runs", "s4rec_tf.ranking.full_ranking", "s4rec_tf.ranking.metrics"),
    *("s4rec_tf.ranking.sampled_ranking", "s4rec_tf.evaluate"),
    *(f"s4rec_tf.analyze.{name}" for name in ("analysis", "embedding_map", "probe")),
    *(f"s4rec_tf.train.{name}" for name in ("jax", "stages", "trainer", "validation")),
    "s4rec_tf.train_arrays",
    *("benchmarks.train_speed_jax", "benchmarks.jax_worker", "benchmarks.jax_device"),
    *("benchmarks.to_best_worker", "benchmarks.torch_worker", "benchmarks.costs"),
)
COMMANDS = (
    "beam_jobs.prepare_dataset",
    "beam_jobs.fetch",
    "beam_jobs.show",
    "benchmarks.retrieval",
    "benchmarks.serving",
    "benchmarks.swaps",
    "benchmarks.train_speed",
    "benchmarks.train_speed_jax",
    "s4rec_tf.train",
    "s4rec_tf.evaluate",
    "s4rec_tf.analyze",
    "s4rec_tf.export",
    "serving.server",
    "serving.client",
    "pipelines.compare",
    "pipelines.demo",
    "pipelines.erasure",
    "pipelines.experiments",
    "pipelines.gpu_kit",
    "pipelines.robustness",
    "pipelines.report",
    "pipelines.score_users",
    "pipelines.run_day",
    "pipelines.run_day.blessing",
    "pipelines.run_day.infra_validation",
    "pipelines.simulate_days",
    "pipelines.synthetic_days",
    "pipelines.synthetic_log",
    "pipelines.tune",
)


def module_files() -> dict[str, Path]:
    files = {}
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            parts = path.relative_to(ROOT).with_suffix("").parts
            name = ".".join(parts).removesuffix(".__init__")
            files[name] = path
    return files


MODULES = module_files()


def starts_with(module: str, prefixes) -> bool:
    return any(module == p or module.startswith(p + ".") for p in prefixes)


def imported_names(source: str, module: str, is_package: bool) -> set[str]:
    """Full dotted names of everything that a source imports, anywhere in it.

    `from a import b` gives `a.b`: whether b is a module or a name in one shows later.
    """
    names = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parts = module.split(".")
                parts = parts[: len(parts) - node.level + is_package]
                base = ".".join([*parts, *([base] if base else [])])
            names |= {f"{base}.{alias.name}" for alias in node.names}
    return names


def imports_of(module: str) -> set[str]:
    path = MODULES[module]
    return imported_names(path.read_text("utf-8"), module, path.name == "__init__.py")


def own_module(name: str) -> str:
    """The longest beginning of a dotted name that is a module of this project."""
    while name not in MODULES:
        name = name.rpartition(".")[0]
    return name


def part_of(module: str, parts=MAY_IMPORT) -> str:
    """The part of the architecture that a module belongs to."""
    fitting = [part for part in parts if starts_with(module, [part])]
    return max(fitting, key=len)


def forbidden_arrows(module: str, names: set[str]) -> set[str]:
    part = part_of(module)
    everywhere = set() if part == "serving.client" else EVERYWHERE
    allowed = MAY_IMPORT[part] | everywhere | {part}
    targets = {own_module(n) for n in names if n.split(".")[0] in PACKAGES}
    return {t for t in targets if part_of(t) not in allowed}


@pytest.mark.parametrize("module", MODULES)
def test_module_imports_only_what_its_part_may(module):
    assert forbidden_arrows(module, imports_of(module)) == set()


def circles(arrows: dict[str, set[str]]) -> list[list[str]]:
    """Groups of modules that import each other, directly or through others."""
    reached = {module: set(targets) for module, targets in arrows.items()}
    for through in arrows:
        for module in arrows:
            if through in reached[module]:
                reached[module] |= reached[through]
    groups = {
        tuple(sorted(n for n in arrows if n in reached[m] and m in reached[n]))
        for m in arrows
        if m in reached[m]
    }
    return [list(group) for group in sorted(groups)]


def test_a_circle_is_seen():
    arrows = {"a": {"b"}, "b": {"c"}, "c": {"b"}, "d": {"a"}}
    assert circles(arrows) == [["b", "c"]]


def test_no_two_modules_form_a_circle():
    arrows = {
        module: {
            own_module(name)
            for name in imports_of(module)
            if name.split(".")[0] in PACKAGES
        }
        - {module}
        for module in MODULES
    }
    assert circles(arrows) == []


def test_every_module_of_s4rec_tf_belongs_to_a_named_part():
    homeless = [m for m in MODULES if part_of(m) == "s4rec_tf" and m != "s4rec_tf"]
    assert homeless == []


def test_the_rule_sees_a_wrong_arrow_in_every_spelling():
    for source in (
        "import s4rec_tf.models.base",
        "from s4rec_tf import models",
        "from s4rec_tf.models.base import Batch",
        "def f():\n    from s4rec_tf.models import base",
    ):
        names = imported_names(source, "serving.server", False)
        assert forbidden_arrows("serving.server", names), source
    relative = imported_names("from ..models import base", "s4rec_tf.layers.x", False)
    assert relative == {"s4rec_tf.models.base"}
    assert forbidden_arrows("s4rec_tf.layers.masks", relative)
    part = "serving.servables.version_files"
    allowed = imported_names("from s4rec_tf import spec", part, False)
    assert forbidden_arrows(part, allowed) == set()


@pytest.mark.parametrize("package", ONLY_IN)
def test_package_is_imported_in_its_one_place(package):
    users = [
        module
        for module in MODULES
        if any(starts_with(name, [package]) for name in imports_of(module))
    ]
    outside = [module for module in users if not starts_with(module, ONLY_IN[package])]
    assert outside == []
    assert bool(users) == bool(ONLY_IN[package])


@pytest.mark.parametrize(
    "module", [m for m in MODULES if starts_with(m, WITHOUT_TENSORFLOW)]
)
def test_mathematics_does_not_import_tensorflow(module):
    assert not [n for n in imports_of(module) if starts_with(n, ["tensorflow"])]


def keras_of_tensorflow(source: str) -> list[int]:
    """Lines that reach Keras through TensorFlow: tf.keras or tensorflow.keras."""
    lines = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Attribute) and node.attr == "keras":
            if isinstance(node.value, ast.Name) and node.value.id in (
                "tf",
                "tensorflow",
            ):
                lines.append(node.lineno)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            names = imported_names(ast.unparse(node), "x", False)
            if any(starts_with(name, ["tensorflow.keras"]) for name in names):
                lines.append(node.lineno)
    return lines


def test_keras_of_tensorflow_is_seen():
    sources = ("tf.keras.Model", "import tensorflow.keras", "x: tensorflow.keras.Model")
    assert [keras_of_tensorflow(source) for source in sources] == [[1], [1], [1]]
    assert keras_of_tensorflow("from tensorflow import keras") == [1]
    assert keras_of_tensorflow("import keras\nkeras.Model") == []


def test_nobody_reaches_keras_through_tensorflow():
    paths = [*MODULES.values(), *(ROOT / "tests").rglob("*.py")]
    found = {str(p): keras_of_tensorflow(p.read_text("utf-8")) for p in paths}
    assert {path: lines for path, lines in found.items() if lines} == {}


@pytest.mark.parametrize("command", COMMANDS)
def test_help_is_quick_and_light(command):
    """`--help` ends well, names the command's flags, and loads no heavy package."""
    script = (
        "import runpy, sys, atexit\n"
        "heavy = {'tensorflow', 'keras', 'apache_beam', 'pandas'}\n"
        "atexit.register(lambda: print('LOADED', sorted(heavy & set(sys.modules))))\n"
        f"sys.argv = ['{command}', '--help']\n"
        f"runpy.run_module('{command}', run_name='__main__', alter_sys=True)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert f"usage: python -m {command}" in done.stdout
    assert done.stdout.endswith("LOADED []\n")
