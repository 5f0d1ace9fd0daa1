"""Image files: what one holds, whether it is sound, and its pixels.

`header` settles everything about a file before a decoder sees it, with one module for each family of formats (`jpeg`,
`png`, `tiff`, `simple_formats`); `decoding` turns a sound file into pixels. Training and the line use the same code.
"""
