"""A model fitted again from the page: with what people labelled, in processes of its own, compared with the old one.

`job` starts, stops and reads a refit, whose state is in files; `gathering` makes its images; `work` is the process that
runs `andon-trainer fit`, compares, and writes the result; `judging` compares two models; `pages` answers requests.
"""
