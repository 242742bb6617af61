"""Package metadata, read from settings.ini so that nbdev and pip agree."""

from configparser import ConfigParser
from pathlib import Path

from setuptools import find_packages, setup

here = Path(__file__).parent
ini = ConfigParser(delimiters=["="])
ini.read(here / "settings.ini", encoding="utf-8")
cfg = ini["DEFAULT"]


def needs(*extras):
    "The requirements of `extras`, in the form pip wants."
    return [r for e in extras for r in cfg[f"{e}_requirements"].split()]


setup(
    name=cfg["lib_name"],
    version=cfg["version"],
    description=cfg["description"],
    long_description=(here / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    author=cfg["author"],
    author_email=cfg["author_email"],
    url=cfg["git_url"],
    keywords=cfg["keywords"].split(),
    license="Apache-2.0",
    classifiers=[
        "Development Status :: 3 - Alpha",
        "Intended Audience :: Science/Research",
        "Programming Language :: Python :: 3",
        "Programming Language :: Python :: 3.11",
        "Programming Language :: Python :: 3.12",
        "Programming Language :: Python :: 3.13",
    ],
    python_requires=">=" + cfg["min_python"],
    packages=find_packages(include=["motionbook*"]),
    package_data={
        "motionbook": [
            "assets/*",
            "assets/bodies/*",
            "assets/configs/*",
            "assets/human/*",
            "assets/refiner/*",
            "assets/retrieval/*",
            "assets/stickgen/*",
            "py.typed",
        ]
    },
    install_requires=cfg["requirements"].split(),
    extras_require={
        "dlc": needs("dlc"),
        "sleap": needs("sleap"),
        "c3d": needs("c3d"),
        "video": needs("video"),
        "parquet": needs("parquet"),
        "dask": needs("dask"),
        "audio": needs("audio"),
        "text": needs("text"),
        "track": needs("track"),
        "oracle": needs("oracle"),
        "all": needs("dlc", "sleap", "c3d", "video", "parquet", "dask", "audio", "text"),
        "dev": needs(
            "dlc", "sleap", "c3d", "video", "parquet", "dask", "audio", "text", "oracle", "dev"
        ),
    },
    entry_points={
        "console_scripts": ["motionbook=motionbook.cli:main"],
        "nbdev": ["motionbook=motionbook._modidx:d"],
    },
)
