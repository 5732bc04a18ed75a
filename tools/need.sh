#!/bin/sh
# Prints the Python to set hacore up with: $PYTHON, or the first of python3.11 .. python3.14, python3 that will do.
# If there is none, says all that is missing, with the Debian/Ubuntu command that installs it, and exits with 2.
set -u

# Prints what is missing of a Python: "version", or the names of modules. Fails if it does not run at all.
lacks() {
    "$1" -c '
import sys
from importlib.util import find_spec
print("version" if sys.version_info < (3, 11) else " ".join(m for m in ("venv", "ensurepip") if not find_spec(m)))
' 2>/dev/null
}

version_of() { "$1" -c 'import sys; print("%d.%d" % sys.version_info[:2])'; }

old='' partial=''
for python in ${PYTHON:-python3.11 python3.12 python3.13 python3.14 python3}; do
    missing=$(lacks "$python") || continue
    case $missing in
        '') command -v "$python"; exit 0 ;;
        version) old=$python ;;
        *) [ -n "$partial" ] || partial=$python partial_lacks=$missing ;;
    esac
done

exec >&2
echo 'hacore cannot be set up yet. Missing:'
if [ -n "$partial" ]; then
    echo "  of $partial, the modules: $partial_lacks"
    packages=python$(version_of "$partial")-venv
elif [ -n "$old" ]; then
    echo "  Python 3.11 or newer ($old is $(version_of "$old")), with its modules venv and ensurepip"
    packages='python3.11 python3.11-venv'
else
    echo "  Python 3.11 or newer${PYTHON:+ ($PYTHON does not run)}, with its modules venv and ensurepip"
    packages='python3 python3-venv'
fi
echo 'On Debian and Ubuntu, as root:'
echo "  apt-get install $packages"
echo 'Another Python can be named: make PYTHON=/path/to/python3 ...'
exit 2
