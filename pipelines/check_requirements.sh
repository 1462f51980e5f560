#!/bin/sh
# Names everything that `make setup` needs and this machine lacks, with the Debian
# package that brings it. Usage: check_requirements.sh PYTHON
python=$1
missing=""

lacks() {
    echo "missing: $1 (Debian package: $2)" >&2
    missing="$missing $2"
}

python_can() {
    "$python" -c "$1" >/dev/null 2>&1
}

if ! python_can 'import sys; sys.exit(sys.version_info[:2] != (3, 11))'; then
    lacks "Python 3.11; PYTHON must name one. Received: '$python'" python3.11
    lacks "Python's venv module" python3.11-venv
    lacks "Python's headers, Python.h" python3.11-dev
else
    python_can 'import venv, ensurepip' ||
        lacks "Python's venv module with ensurepip" python3.11-venv
    python_can 'import os, sysconfig as s
assert os.path.exists(os.path.join(s.get_path("include"), "Python.h"))' ||
        lacks "Python's headers, Python.h" python3.11-dev
fi
command -v git >/dev/null 2>&1 || lacks "git" git
command -v make >/dev/null 2>&1 || lacks "make" make
command -v g++ >/dev/null 2>&1 || command -v c++ >/dev/null 2>&1 ||
    lacks "a C++ compiler" g++

if [ -n "$missing" ]; then
    echo "install with: apt install$missing" >&2
    exit 1
fi
