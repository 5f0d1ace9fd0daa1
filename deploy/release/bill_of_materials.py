"""What the artefacts consist of, in the form of CycloneDX 1.6: the Python packages and the packages of Debian."""

import json
import re
import tarfile
from collections.abc import Callable, Iterable, Iterator
from email import message_from_bytes
from pathlib import Path

from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.output import make_outputter
from cyclonedx.schema import OutputFormat, SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from packageurl import PackageURL

PIN = re.compile(r"^([a-z0-9.-]+)==([^ ;]+)", re.MULTILINE)
METADATA = re.compile(r"\.dist-info/METADATA$")
DEBIAN = re.compile(r"^var/lib/dpkg/status\.d/")  # as root.sh leaves them


def of_lock(lock: Path, version: str, target: Path) -> None:
    """Everything that may be installed with the wheel or to develop it: the locked packages."""
    write("andon", ComponentType.APPLICATION, version, (python(*pin) for pin in PIN.findall(lock.read_text())), target)


def of_image(archive: Path, version: str, target: Path) -> None:
    """What is in an image, as its own files say."""
    components = []
    for name, content in files_of(archive, lambda name: bool(METADATA.search(name) or DEBIAN.match(name))):
        fields = message_from_bytes(content)
        if DEBIAN.match(name):
            components.append(debian(fields["Package"], fields["Version"], fields["Architecture"]))
        else:
            components.append(python(fields["Name"].lower().replace("_", "-"), fields["Version"]))
    write(archive.name.split("-linux-")[0].rsplit("-", 1)[0], ComponentType.CONTAINER, version, components, target)


def python(name: str, version: str) -> Component:
    """A package of Python."""
    return component(PackageURL("pypi", None, name, version))


def debian(name: str, version: str, architecture: str) -> Component:
    """A package of Debian."""
    return component(PackageURL("deb", "debian", name, version, {"arch": architecture}))


def component(purl: PackageURL) -> Component:
    """A package with its name, its version and its URL."""
    return Component(
        type=ComponentType.LIBRARY, name=purl.name, version=purl.version, purl=purl, bom_ref=purl.to_string()
    )


def write(name: str, kind: ComponentType, version: str, components: Iterable[Component], target: Path) -> None:
    """Write the list of an artefact, checked against the schema."""
    bom = Bom(components=components)
    bom.metadata.component = Component(type=kind, name=name, version=version, bom_ref=name)
    bom.register_dependency(bom.metadata.component, bom.components)
    text = make_outputter(bom, OutputFormat.JSON, SchemaVersion.V1_6).output_as_string(indent=1)
    error = JsonStrictValidator(SchemaVersion.V1_6).validate_str(text)
    assert error is None, error
    target.write_text(text + "\n", encoding="utf-8")


def files_of(archive: Path, wanted: Callable[[str], bool]) -> Iterator[tuple[str, bytes]]:
    """Names and contents of files in the archive of an image, from the lowest layer up."""
    with tarfile.open(archive) as outer:
        for layer in json.loads(read(outer, "manifest.json"))[0]["Layers"]:
            file = outer.extractfile(layer)
            assert file is not None
            with tarfile.open(fileobj=file, mode="r|*") as inner:  # in one pass: layers take gigabytes
                for member in inner:
                    if member.isfile() and wanted(member.name):
                        content = inner.extractfile(member)
                        assert content is not None
                        yield member.name, content.read()


def read(archive: tarfile.TarFile, name: str) -> bytes:
    """The content of a file in an archive."""
    file = archive.extractfile(name)
    assert file is not None, name
    return file.read()
