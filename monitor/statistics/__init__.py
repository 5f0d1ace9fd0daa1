"""Control charts of each camera: are there more defects than usual (CUSUM), do frames look different (drift)?

Two questions with two answers: a worn tool raises the first chart, a failing lamp the second.
"""
