"""Recordings of the line as MCAP files (contract 6): write, read however damaged, mend, and put back on the line.

`layout` says what lies in a file, `writing` and `reading` move it, `source` makes it a source of frames like any other,
`selection` narrows one down; `record`, `repair` and `replay` are the commands.
"""
