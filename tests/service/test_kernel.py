# SPDX-License-Identifier: MIT
"""A kernel, or an emulator in its place, that does not tell what probes need to know: the
service refuses to start, and `port-verifier probe` to probe."""
import ctypes
import errno
import os
import platform
import struct
import subprocess

import pytest

from harness.service import BINARY, BUILD_DIR, USUAL, environment, refuse_reports
from harness.waiting import PATIENCE

TCP_INFO = 11  # of level IPPROTO_TCP, 6
GETSOCKOPT = {"x86_64": 55, "aarch64": 209, "riscv64": 209}.get(platform.machine())

PR_SET_SECCOMP, PR_SET_NO_NEW_PRIVS = 22, 38
FILTER = 2
LOAD, EQUAL, RETURN = 0x20, 0x15, 0x06
FAIL_WITH, ALLOW = 0x00050000, 0x7fff0000
NUMBER_AT, SECOND_AT, THIRD_AT = 0, 24, 32  # in struct seccomp_data: call, arguments


def answer_tcp_info_with(number):
    """From now on getsockopt(TCP_INFO) of this process writes nothing and fails with that
    errno; with 0, it succeeds."""
    code = [(LOAD, 0, 0, NUMBER_AT), (EQUAL, 0, 5, GETSOCKOPT),
            (LOAD, 0, 0, SECOND_AT), (EQUAL, 0, 3, 6),
            (LOAD, 0, 0, THIRD_AT), (EQUAL, 0, 1, TCP_INFO),
            (RETURN, 0, 0, FAIL_WITH | number), (RETURN, 0, 0, ALLOW)]
    instructions = ctypes.create_string_buffer(
        b"".join(struct.pack("HBBI", *instruction) for instruction in code))
    program = struct.pack("HxxxxxxP", len(code), ctypes.addressof(instructions))
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) or \
            libc.prctl(PR_SET_SECCOMP, FILTER, program, 0, 0):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def start_with(number, directory, *command, **settings):
    ended = subprocess.run(command or [BINARY], cwd=directory,
                           env=environment({**USUAL, **settings}),
                           capture_output=True, text=True, timeout=20 * PATIENCE,
                           preexec_fn=lambda: answer_tcp_info_with(number))
    refuse_reports(ended.returncode, ended.stderr)
    return ended


@pytest.mark.parametrize("number", [errno.ENOPROTOOPT, errno.EOPNOTSUPP, 0],
                         ids=["no such option", "not supported", "nothing written"])
def test_without_tcp_info_it_does_not_serve_and_says_why(tmp_path, number):
    assert GETSOCKOPT, f"the number of getsockopt(2) on {platform.machine()} is not known"
    ended = start_with(number, tmp_path)
    assert (ended.returncode, ended.stdout) == (1, "")
    line, = ended.stderr.splitlines()
    assert "level=error event=failed" in line
    assert "does not report the state of a TCP connection (TCP_INFO)" in line
    assert "event=ready" not in line


def test_without_tcp_info_port_verifier_does_not_probe(tmp_path):
    ended = start_with(errno.ENOPROTOOPT, tmp_path, BUILD_DIR / "port-verifier", "probe",
                       "127.0.0.1", "80")
    assert (ended.returncode, ended.stdout) == (4, "")
    assert ended.stderr.startswith("port-verifier: this kernel, ")
    assert ended.stderr.endswith("(TCP_INFO)\n")


def test_settings_are_checked_before_the_kernel_is(tmp_path):
    ended = start_with(errno.ENOPROTOOPT, tmp_path, PORT_CHECKER_PORT="x")
    assert ended.returncode == 2, ended.stderr
