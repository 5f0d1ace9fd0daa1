"""The documentation: generated pages, links, and every command and example in it; `pictures` makes its pictures."""
