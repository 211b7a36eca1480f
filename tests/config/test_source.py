"""The hash over the sources: what the journals and reports call the code."""

import shutil
import subprocess
import sys
from pathlib import Path

from btcbot import source

ROOT = Path(source.__file__).resolve().parents[1]


def copied_code(root: Path) -> str:
    done = subprocess.run(
        [sys.executable, "-c", "from btcbot.source import code; print(code())"],
        cwd=root, env={"PYTHONPATH": str(root)}, capture_output=True, text=True, timeout=60,
        check=True,
    )  # fmt: skip
    return done.stdout.strip()


def test_equal_sources_have_equal_hashes_and_one_changed_line_another(tmp_path: Path) -> None:
    for package in source.PACKAGES:
        shutil.copytree(ROOT / package, tmp_path / package)

    assert copied_code(tmp_path) == source.code()

    with (tmp_path / "btcbot" / "strategies" / "profit_aware.py").open("a") as file:
        file.write("# One line more.\n")
    assert copied_code(tmp_path) != source.code()
