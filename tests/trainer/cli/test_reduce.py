"""`reduce` as a user calls it."""

from pathlib import Path

import numpy as np
import pyarrow.parquet
from andon_monitor.model.autoencoder import Autoencoder

from tests.fixtures.commands import call
from tests.fixtures.images import picture_size


def test_reduce_writes_a_table_of_latents_with_names(model_file: Path, sample_folder: Path, tmp_path: Path) -> None:
    part = Autoencoder.load(model_file, "cpu")
    table, drawn = tmp_path / "latents.parquet", tmp_path / "map.png"
    done = call("reduce", model_file, sample_folder, "-o", table, "--picture", drawn)
    assert done.exception is None, done.exception
    assert "PCA" in done.output
    assert min(picture_size(drawn)) > 300
    files = sorted(str(path.relative_to(sample_folder)) for path in (sample_folder / "test").rglob("*.jpg"))
    exact = part.encode(np.stack([part.read(sample_folder / file) for file in files]))
    read = pyarrow.parquet.read_table(table).to_pydict()
    latents = np.stack([read[key] for key in read if key.startswith("latent")], axis=1)
    assert read["file"] == files
    assert read["label"][0] == Path(files[0]).parent.name
    np.testing.assert_allclose(latents, exact, rtol=1e-5, atol=1e-6)
