# SPDX-License-Identifier: MIT
"""docs/deploy.md: the test for spoofing tells a good proxy from a bad one; every file exists."""
import re
import subprocess

import pytest

from conftest import CALLER, FILES
from fronts import CONTRIB, ROOT, start_service
from harness.service import kept

PAGE = (ROOT / "docs/deploy.md").read_text()
COMMAND = re.search(r"<!-- deploy: spoof -->\n```sh\n(curl .*)\n```", PAGE).group(1)
SPOOFED = "203.0.113.7"


def run(front, tmp_path):
    """Runs the page's command from CALLER; only the name is resolved to this machine."""
    (tmp_path / ".curlrc").write_text(f'connect-to = "::127.0.0.1:"\ncacert = "{front.ca}"\n'
                                      f'interface = "{CALLER}"\n')
    return subprocess.run(["sh", "-c", COMMAND], check=True, capture_output=True, text=True,
                          env={"CURL_HOME": str(tmp_path), "PATH": "/usr/bin:/bin"}).stdout


@pytest.mark.parametrize("kind", FILES)
def test_the_test_for_spoofing_shows_the_callers_address(make_front, tmp_path, kind):
    with kept(start_service(kind)) as service:
        service.wait_ready()
        assert f'"ip": "{CALLER}"' in run(make_front(kind), tmp_path)


def test_the_test_for_spoofing_shows_a_proxy_that_can_be_deceived(make_front, tmp_path):
    """One that passes on the header of its client."""
    with kept(start_service("nginx")) as service:
        service.wait_ready()
        front = make_front(
            "nginx", edits=[("proxy_set_header X-Forwarded-For $remote_addr;", "")])
        assert f'"ip": "{SPOOFED}"' in run(front, tmp_path)


def test_the_pages_name_every_file_of_contrib_and_no_other():
    pages = PAGE + (ROOT / "docs/operations.md").read_text()
    named = set(re.findall(r"\(\.\./contrib/([\w./-]*\w)\)", pages))
    ours = {"caddy", "certbot", "haproxy", "nftables", "nginx", "prometheus", "sysctl"}
    exist = {str(path.relative_to(CONTRIB)) for folder in ours
             for path in (CONTRIB / folder).iterdir()}
    assert named - exist == set()
    assert {path for path in exist - named if not path.endswith("several-nodes.env")} == set()
