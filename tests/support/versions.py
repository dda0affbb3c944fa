"""Which tests the version of Python matters to."""

import sys

OLDEST = sys.version_info < (3, 12)
"""The oldest Python that is supported. What takes long, whatever the version, is tested in full there and elsewhere in part."""
