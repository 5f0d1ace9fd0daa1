"""Inputs that nobody sends by accident: made for each reader from its own structure, measured in memory and time.

`mutation` changes bytes, containers and JSON; `readers` says what each reader is given and may raise; `campaign` runs
them and measures. Long: `python -m tests.fuzz`; short: `test_fuzz`.
"""
