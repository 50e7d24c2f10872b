#!/bin/sh
# Prints every released CPython >= 3.10 on this machine, newest first: "3.13 /path/to/python3.13", one path a version (the first found).
# Looks in PATH and where pyenv keeps its versions. Each is asked, because a pyenv shim exists without its Python.
ask='import platform, sys
v = sys.version_info
if v >= (3, 10) and v.releaselevel == "final" and platform.python_implementation() == "CPython":
    print("%d.%d" % v[:2], sys.executable)'

for python in python3.14 python3.13 python3.12 python3.11 python3.10 python3 "$HOME"/.pyenv/versions/*/bin/python3; do
    "$python" -c "$ask" 2>/dev/null
done | sort -s -t. -k2,2nr | awk '!seen[$1]++'
