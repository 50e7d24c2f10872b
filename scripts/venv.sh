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

# What has no wheels needs a compiler and headers; without it its stories are skipped.
if ! "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --editable '.[native]' 2>/dev/null; then
    echo "python-ldap could not be compiled, so its stories are skipped. On Debian: apt-get install gcc python3-dev libldap2-dev libsasl2-dev" >&2
fi
