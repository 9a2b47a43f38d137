# SPDX-License-Identifier: MIT
"""The attacks that `./dev attack` runs; each module registers its own."""
