#!/bin/sh
# venv.sh PYTHON DIRECTORY: makes the virtual environment and installs the package with everything its tests need.
set -eu
python=$1
venv=$2

if [ -z "$python" ]; then
    echo "No CPython 3.10 or newer found. Install one (Debian: apt-get install python3 python3-venv) or name it: make PYTHON=/path/to/python3" >&2
    exit 1
fi
if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
    echo "$python cannot make a virtual environment: ensurepip is missing. On Debian: apt-get install python3-venv" >&2
    exit 1
fi
echo "Setting up $venv with $("$python" --version) ..." >&2
"$python" -m venv --clear "$venv"
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check --upgrade pip
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
