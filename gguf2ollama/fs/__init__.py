"""Files: written atomically, resumed after a kill, copied by sharing blocks; errors name the user's path.

It does I/O on disk, and knows no file formats. Other rooms import its modules.
"""
