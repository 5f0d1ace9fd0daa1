"""What is watched at each camera: more defects than usual (CUSUM), frames that look different (drift), one picture
again and again (frozen).

Each has its own cause: a worn tool raises the CUSUM, a failing lamp the drift; a hung camera raises neither.
"""
