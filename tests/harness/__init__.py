# SPDX-License-Identifier: MIT
"""What the tests of the real programs share: processes, HTTP over raw sockets, networks,
targets."""
