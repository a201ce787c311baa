"""Download files over several connections, resumable after a kill and checked against their digests.

Does I/O over HTTP and on disk. ``download.Download`` is the door.
"""
