#!/bin/sh
# The docs site without Quarto: _proc from the notebooks, _site from _proc. Warnings are errors.
set -e
cd "$(dirname "$0")/.."
rm -rf _proc _site
python tools/proc.py
sphinx-build -q -W --keep-going -c docs -b html _proc _site
