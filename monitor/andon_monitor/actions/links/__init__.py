"""How targets are spoken to: one module for each protocol, and the one library that it needs.

`base` says what a link does, `opening` opens the one that a URI names.
"""
