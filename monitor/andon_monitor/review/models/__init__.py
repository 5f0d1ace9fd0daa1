"""The models of the line on the page: what another threshold would do, changes of model files, and their history.

`line_models` writes and watches the files, `trial` counts what a threshold changes, `pages` answers requests.
"""
