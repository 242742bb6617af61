#!/bin/sh
# The docs site without Quarto: _proc from the notebooks, _site from _proc. Warnings are errors.
# A site that was built from the very same files stands.
set -e
cd "$(dirname "$0")/.."
inputs() {
    sphinx-build --version
    find nbs docs motionbook tools README.md settings.ini _quarto.yml -type f \
        ! -path '*/__pycache__/*' ! -path '*/.ipynb_checkpoints/*' ! -path 'docs/_static/mathjax/*' -print0 | LC_ALL=C sort -z | xargs -0 sha256sum
}
made_from=$(inputs | sha256sum)
if [ "$(cat _site/.made_from 2>/dev/null)" = "$made_from" ]; then
    echo "_site stands: nothing changed since it was built"
    exit 0
fi
rm -rf _proc _site
python tools/proc.py
sphinx-build -q -W --keep-going -c docs -b html _proc _site
echo "$made_from" > _site/.made_from
