"""What a repository holds: which files are one model, their labels, and the one that is taken.

Pure: names, sizes and digests of files in, groups out. ``selection.Catalogue`` is the door.
"""
