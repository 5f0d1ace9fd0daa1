"""Mistakes on the command lines of reduce, denoise, compress, decompress and classify: one line, and nothing left."""

from pathlib import Path

import pytest

from tests.fixtures.commands import refused

MISTAKES = [
    (("reduce", "MODEL", "DATA", "-o", "x.txt"), "x.txt: give a name that ends in .parquet"),
    (("reduce", "MODEL", "DATA", "-o", "x.csv", "--colour-by", "mood"), "--colour-by mood: choose label, score"),
    (("denoise", "MODEL", "nowhere", "-o", "x"), "nowhere: no such file or folder"),
    (("denoise", "MODEL", "DATA", "-o", "x", "--picture", "p.png"), "--picture: draws the comparison"),
    (("denoise", "MODEL", "DATA", "-o", "x", "--add-noise", "999"), "--add-noise 999"),
    (("compress", "MODEL", "DATA", "-o", "x.andon", "--grain", "0"), "--grain 0"),
    (("decompress", "MODEL", "MODEL", "-o", "x"), "not an archive"),
    (("classify", "MODEL", "DATA", "-o", "x.onnx", "--way", "best"), "--way best: choose auto, frozen, fine-tuned"),
    (("classify", "MODEL", "GOOD", "-o", "x.onnx"), "no defects in it; give a folder for each kind"),
]


@pytest.mark.parametrize(("arguments", "message"), MISTAKES, ids=[" ".join(case[0][::4]) for case in MISTAKES])
def test_a_mistake_is_one_line_and_leaves_nothing(
    model_file: Path, sample_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments, message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    given = {"MODEL": model_file, "DATA": sample_folder, "GOOD": sample_folder / "train/good"}
    said = refused(*(given.get(argument, argument) for argument in arguments))
    assert message in said
    assert "\n" not in said
    assert list(tmp_path.iterdir()) == []
