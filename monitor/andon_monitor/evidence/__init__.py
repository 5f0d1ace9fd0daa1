"""What people need to judge a verdict: which frames are shown to them, packed into one message or file each.

`sampling` chooses the frames, `sink` explains them on the way out of the pipeline, `package` is the format.
"""
