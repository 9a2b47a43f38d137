# SPDX-License-Identifier: MIT
"""What the tests of the real service share: the process, HTTP over raw sockets, targets."""
