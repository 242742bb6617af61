"""Process the notebooks for the docs (links, signatures, front matter) without Quarto: nbs -> _proc."""

from nbdev.quarto import refresh_quarto_yml
from nbdev.serve import proc_nbs

if __name__ == "__main__":  # the workers import this file again
    refresh_quarto_yml()
    proc_nbs(force=True, n_workers=2)
