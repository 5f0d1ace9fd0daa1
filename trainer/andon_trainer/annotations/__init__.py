"""Annotations of other tools: Lookout for Vision, COCO, CVAT and Label Studio into our folders, and back.

Their files are not trusted: a module for each format reads one into `marked.Marked`, within limits.
"""
