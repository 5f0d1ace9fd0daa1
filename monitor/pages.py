"""HTML pages that need no other file, from templates beside the code that fills them."""

import jinja2


def environment(package: str) -> jinja2.Environment:
    """The templates of a package. All values are escaped: names of cameras, files and folders are a stranger's."""
    return jinja2.Environment(
        loader=jinja2.PackageLoader(package, "."),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
