"""What the monitor says about itself: metrics, the HTTP server that shows them, and logs.

`catalogue` declares every metric, `metrics` builds them.
"""
