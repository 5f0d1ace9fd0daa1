#!/bin/sh
# Set up an environment with anomalib in .venv-anomalib (five gigabytes), or say that it cannot be had here.
rm -rf .venv-anomalib.part
if "$1" -m venv .venv-anomalib.part && .venv-anomalib.part/bin/python -m pip install --quiet \
    --disable-pip-version-check --requirement tests/benchmarks/quality/anomalib.txt; then
    mv .venv-anomalib.part .venv-anomalib
else
    echo "no anomalib here: Ganomaly and Draem are left out"
fi
rm -rf .venv-anomalib.part
