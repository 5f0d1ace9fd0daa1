"""File formats of the monitor's own: MCAP recordings, packages of evidence, archives of latent vectors.

`mcap_layout` says which messages a recording has, `mcap_writer` and `mcap_reader` write and read it;
`evidence_package` and `latent_archive` do both for theirs.
"""
