"""What facekit clean prints: where the report is, what the other mode is for, and no pack where none was written."""

from __future__ import annotations

from pathlib import Path

import pytest
from clean_packs import make_pack

from facekit.cli import main


@pytest.mark.parametrize("mode", ["published", "robust"])
@pytest.mark.parametrize("only", [True, False], ids=["decisions", "pack"])
@pytest.mark.parametrize("report", [True, False], ids=["report", "no report"])
def test_the_last_lines(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], mode: str, only: bool, report: bool
) -> None:
    pack, out = make_pack(tmp_path), tmp_path / "out"
    given = ["clean", str(pack.folder), str(out), "--features", str(pack.features), "--mode", mode]
    with pytest.raises(SystemExit) as caught:
        main([*given, *["--decisions-only"] * only, *["--no-report"] * (not report)])
    assert not caught.value.code
    said = capsys.readouterr().out
    assert (str(out / "report" / "index.html") in said) == report
    assert f"this was --mode {mode}; --mode {'robust' if mode == 'published' else 'published'}" in said
    assert ("would be left; decisions only" in said) == only
    assert ("config.num_classes" in said) == (not only)
    assert (out / "train.rec").exists() == (not only)
