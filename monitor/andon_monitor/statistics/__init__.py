"""What is watched of each camera: are there more defects than usual (CUSUM), do frames look different (drift), or is it
one picture again and again (frozen)?

Questions with answers of their own: a worn tool raises the first chart, a failing lamp the second, a hung camera none.
"""
