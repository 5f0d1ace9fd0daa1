"""Evidence: the frames that people are shown, each with its verdict, anomaly map and reconstruction.

`sampling` chooses the frames, `sink` explains and sends them. The format is `andon_monitor.formats.evidence_package`.
"""
