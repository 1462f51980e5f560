"""The names that `import s4rec_tf` gives: complete, documented, loaded when used."""

import inspect
import subprocess
import sys
import typing

import pytest

import s4rec_tf

FUNCTIONS = [
    name for name in s4rec_tf.__all__ if inspect.isfunction(getattr(s4rec_tf, name))
]


def test_importing_the_package_loads_neither_tensorflow_nor_keras():
    script = (
        "import sys, s4rec_tf; s4rec_tf.DatasetDir; dir(s4rec_tf)\n"
        "sys.exit(any(name in sys.modules for name in ('tensorflow', 'keras')))"
    )
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0


@pytest.mark.parametrize("name", s4rec_tf.__all__)
def test_every_name_is_there_and_has_a_docstring(name):
    found = getattr(s4rec_tf, name)
    assert name == "__version__" or inspect.getdoc(found)


def test_a_wrong_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'train_modle'"):
        s4rec_tf.train_modle  # noqa: B018


def test_there_are_functions_for_every_step():
    assert set(FUNCTIONS) == {
        *("read_split", "model_class", "resolve_config", "restore_best"),
        *("train_model", "refit_model", "evaluate_model", "export_model"),
    }


@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_function_documents_its_arguments_result_and_errors(name):
    function = getattr(s4rec_tf, name)
    text = inspect.getdoc(function)
    for argument in inspect.signature(function).parameters:
        assert f"    {argument}: " in text, argument
    assert "Returns:" in text
    assert ("Raises:" in text) == (name != "evaluate_model")
    assert typing.get_type_hints(function)["return"] is not None
