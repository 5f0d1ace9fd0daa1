"""The pages where a line is set up: from a source to a running inspection, step by step, without a terminal.

`draft` keeps what is chosen and `jobs` what runs (in processes of `work`), all in files; `lines` are the monitors'
settings files, `deploying` changes them, `inspections` runs them here; `pages` and `line_pages` answer requests.
"""
