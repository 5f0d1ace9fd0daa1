"""HTML pages from templates."""

import jinja2


def environment(package: str, folder: str = ".") -> jinja2.Environment:
    """The templates in a folder of a package. All values are escaped: names of cameras and files are not trusted."""
    return jinja2.Environment(
        loader=jinja2.PackageLoader(package, folder),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def add_templates(environment: jinja2.Environment, package: str, folder: str) -> None:
    """Find templates in a folder of another package, too."""
    known = [] if environment.loader is None else [environment.loader]
    environment.loader = jinja2.ChoiceLoader([*known, jinja2.PackageLoader(package, folder)])
