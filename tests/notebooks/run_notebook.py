"""Runs a notebook in a folder and prints what its cells printed; where nbclient is."""

import sys
from pathlib import Path

import nbclient
import nbformat

path, folder = map(Path, sys.argv[1:])
notebook = nbformat.read(path, as_version=4)
nbformat.validate(notebook)
resources = {"metadata": {"path": str(folder)}}
nbclient.NotebookClient(notebook, timeout=1500, resources=resources).execute()
for cell in notebook.cells:
    for output in cell.get("outputs", []):
        if output.output_type == "stream" and output.name == "stdout":
            print(output.text, end="")
        elif output.output_type in ("execute_result", "display_data"):
            print(sorted(output.data), output.data.get("text/plain", ""))
