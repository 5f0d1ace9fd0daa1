"""`andon-monitor draw`: a page on this machine where a mask is drawn over a frame of any source.

`frame` is the picture to draw on, `app` the page and what it saves, `serving` runs it until Ctrl-C.
"""
