"""Watched folders of another machine."""

import os

import pytest
from tests.jobs.conftest import files_in
from tests.streams.test_sftp import Server, server  # noqa: F401  (a fixture)

import penstock
from penstock import BatchJob
from penstock.errors import ConfigurationError
from penstock.jobs import DirmonJob
from penstock.jobs.entries import check_entry

DONE = []


class Load(BatchJob, kind="tests.jobs.sftp.Load"):
    def perform(self, line):
        DONE.append(line)


@pytest.fixture
def far(server: Server, tmp_path, monkeypatch):  # noqa: F811
    """Return the URL of an empty folder of a server, which the user knows and has a key for."""
    DONE.clear()
    ssh = tmp_path / "home" / ".ssh"
    ssh.mkdir(parents=True)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    (ssh / "id_ed25519").write_bytes((server.keys / "id").read_bytes())
    os.chmod(ssh / "id_ed25519", 0o600)
    host_key = " ".join((server.keys / "host.pub").read_text().split()[:2])
    (ssh / "known_hosts").write_text(f"[127.0.0.1]:{server.port} {host_key}\n")
    (tmp_path / "far").mkdir()
    url = f"{server.url}{tmp_path}/far"
    penstock.configure(allowed_roots=[url])
    return url


@pytest.mark.parametrize("name", ["a.csv", "ä b.csv", "100%.csv", "what?.csv", "new\nline.csv"])
def test_a_file_starts_at_the_second_look_and_is_archived_there(far, watch, driver, tmp_path, name):
    watch(f"{far}/*.csv", Load.kind)
    (tmp_path / "far" / name).write_text("one\ntwo\n")
    (tmp_path / "far" / "link.csv").symlink_to("/etc/passwd")
    DirmonJob.ensure()
    driver.run()
    assert DONE == []
    DirmonJob.query.queued.update(run_at=None)
    driver.run()
    assert DONE == ["one", "two"]
    archived, _link = files_in(tmp_path / "far")
    assert (archived[:8], archived[45:]) == ("archive/", name)


def test_a_folder_that_leads_out_of_the_root_is_refused(far, tmp_path):
    (tmp_path / "far" / "out").symlink_to(tmp_path)
    for pattern in (f"{far}/out/*", f"{far}/../*"):
        with pytest.raises(ConfigurationError, match="does not lie in allowed_roots"):
            check_entry({"name": "a", "pattern": pattern, "kind": Load.kind})
