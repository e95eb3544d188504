"""Where files are: on this machine, in S3, behind SFTP, on the web. Each scheme of a URL is one file here.

Knows nothing of codecs. Libraries are imported when a place is first reached.
"""
