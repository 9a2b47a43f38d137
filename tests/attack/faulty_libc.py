# SPDX-License-Identifier: MIT
"""Orders to faulty_libc.so, which a service preloads: which of its allocations fail, and how far
its calendar's clock is moved."""
import contextlib
import ctypes
import mmap
import os
import tempfile

from harness.service import BUILD_DIR

LIBRARY = BUILD_DIR / "tests/faulty_libc.so"
EVERY_PROCESS = -1


class Orders(ctypes.Structure):
    """`struct orders` of faulty_libc.c."""
    _fields_ = [("pid", ctypes.c_int64), ("count", ctypes.c_uint64), ("first", ctypes.c_uint64),
                ("length", ctypes.c_uint64), ("every", ctypes.c_uint64),
                ("shift", ctypes.c_int64)]


class FaultyLibc:
    def __init__(self):
        assert LIBRARY.exists(), f"{LIBRARY} needs glibc, and no sanitizer"
        self.file = tempfile.NamedTemporaryFile(prefix="faulty-")
        self.file.truncate(mmap.PAGESIZE)
        self.map = mmap.mmap(self.file.fileno(), mmap.PAGESIZE)
        self.orders = Orders.from_buffer(self.map)
        os.chmod(self.file.name, 0o666)

    def settings(self):
        """What a service is started with."""
        return {"LD_PRELOAD": LIBRARY, "FAULTY_LIBC": self.file.name}

    @contextlib.contextmanager
    def failing(self, pid, first, length=1, every=0):
        """Inside, the allocations of that process count from 1, and `length` of them fail from the
        `first`; again after each `every`."""
        self.orders.count = 0
        self.orders.first, self.orders.length, self.orders.every = first, length, every
        self.orders.pid = pid
        try:
            yield
        finally:
            self.orders.pid = 0

    @property
    def count(self):
        return self.orders.count

    def shift(self, seconds):
        self.orders.shift = int(seconds * 1e9)

    def close(self):
        del self.orders
        self.map.close()
        self.file.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
