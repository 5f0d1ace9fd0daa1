"""Make everything that a release consists of in dist/: `make release`, from the commit that is checked out.

Wheel, source archive, lock, images of monitor and trainer, lists of what is in them (SBOM), the version's
section of the changelog, a statement of where they come from (provenance), checksums. dist/ appears once all of it is
there; after an error the earlier one remains.

The images need buildah. `BASE_IMAGE` is another base than the Dockerfiles', `IMAGE_OPTIONS` further options of buildah
build. `--no-images` leaves them out, `--image monitor` makes this one alone, `--architecture arm64` that of another
machine, with qemu-user-static.
"""

import argparse
import shutil
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import bill_of_materials
import images
import statements

ROOT = Path(__file__).parents[2]


def main() -> None:
    """Make the release, or say in one line why not."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--no-images", action="store_true", help="wheel and source archive alone")
    parser.add_argument("--image", action="append", choices=images.NAMES, help="default: all")
    parser.add_argument("--architecture", action="append", choices=images.ARCHITECTURES, help="default: this machine's")
    parser.add_argument("--dist", type=Path, default=ROOT / "dist", help="default: dist/ of the repository")
    arguments = parser.parse_args()
    names = [] if arguments.no_images else arguments.image or images.NAMES
    if names and shutil.which("buildah") is None:
        sys.exit("the images need buildah, which is not installed; --no-images leaves them out")
    part = arguments.dist.with_name(f"{arguments.dist.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    try:
        make(part, names, arguments.architecture or [images.this_architecture()])
        publish(part, arguments.dist)
    except subprocess.CalledProcessError as error:
        sys.exit(f"no release: {' '.join(map(str, error.cmd[:6]))} ... ended with {error.returncode}")
    finally:
        shutil.rmtree(part, ignore_errors=True)
    for path in sorted(arguments.dist.iterdir()):
        print(f"{path.stat().st_size / 1e6:9.2f} MB  {path.name}")


def make(folder: Path, names: list[str], architectures: list[str]) -> None:
    """Write every file of the release into a folder."""
    started = datetime.now(UTC)
    # Without isolation: hatchling is the locked one.
    build = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(folder)]
    subprocess.run(build, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    (wheel,) = folder.glob("*.whl")
    version = wheel.name.split("-")[1]
    source = statements.source_of(ROOT)
    bill_of_materials.of_lock(ROOT / "constraints.txt", version, folder / f"andon-{version}.cdx.json")
    for name in names:
        for architecture in architectures:
            archive = images.build(name, architecture, version, source, folder)
            bill_of_materials.of_image(archive, version, archive.with_name(f"{archive.name[:-4]}.cdx.json"))
            images.compress(archive)
    shutil.copy(ROOT / "constraints.txt", folder)  # for who installs the wheel in the locked versions
    notes = statements.section_of((ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), version)
    (folder / "CHANGES.md").write_text(notes, encoding="utf-8")
    statements.write_provenance(folder, ROOT, source, version, images.base(), started)
    statements.write_checksums(folder)


def publish(folder: Path, dist: Path) -> None:
    """Give the finished folder its name. An earlier release is removed after that."""
    old = dist.with_name(f"{dist.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    if dist.exists():
        dist.rename(old)
    folder.rename(dist)
    shutil.rmtree(old, ignore_errors=True)


if __name__ == "__main__":
    main()
