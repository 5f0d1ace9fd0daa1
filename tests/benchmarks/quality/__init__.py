"""How good Andon and other methods are, with few images, on disturbed frames and in several sizes.

`sets` says what is learned from, `methods` trains (`baselines`, `anomalib` and Andon), `cells` keeps what was measured,
`disturbances` spoils test images, `tables` lists what belongs together and shows it, `__main__` is the command.
"""
