"""Recordings of the line as MCAP files: record them, repair damaged ones, replay them into a topic.

`record` writes the frames of any source (`job` is the command without Kafka, `topics` the one with it); `repair` copies
what is intact; `replay` sends frames; `labelled` reads any source with its labels and verdicts. The format is in
`andon_monitor.formats`, reading in `andon_monitor.sources`.
"""
