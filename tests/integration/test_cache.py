# SPDX-License-Identifier: Apache-2.0
"""The cache across restarts: what it is sealed by, what comes back from it, and what never does."""

import os
import pathlib
import re
import shutil
import subprocess
import time

import pytest
from conftest import UID, entry, spiffe
from world import until

KEY, OTHER_KEY = b"k" * 32, b"o" * 32
# What records in clear hold: the trust domain, and every P-256 key and certificate (the curve's object identifier).
CLEAR = (b"example.org", bytes.fromhex("06082a8648ce3d030107"))


class Cache:
    """The daemon's state, and what it is sealed by."""

    def __init__(self, world, daemon):
        self.world, self.daemon = world, daemon
        self.credentials = daemon.folder / "credentials"
        self.folder, self.manifest = daemon.state_dir / "cache", daemon.state_dir / "cache.manifest"
        self.tpm_blob = daemon.state_dir / "cache.tpm"
        self.tpms = []

    def by(self, seal, tcti="", key=None, old_key=None):
        """What the next daemon finds: `cache.seal`, `cache.tpm`, and credentials."""
        shutil.rmtree(self.credentials, ignore_errors=True)
        self.credentials.mkdir(mode=0o700)
        for name, data in (("tipstaffd.seal", key), ("tipstaffd.seal-old", old_key)):
            if data:
                (self.credentials / name).write_bytes(data)
        self.daemon.wrap = ["env", f"CREDENTIALS_DIRECTORY={self.credentials}"] if key or old_key else []
        self.daemon.settings["cache"] = {"seal": seal, **({"tpm": tcti} if tcti else {})}

    def restart(self, seal=None, tcti="", **keys):
        self.daemon.stop()
        if seal:
            self.by(seal, tcti, **keys)
        self.daemon.start()
        return self.daemon.status()["cache"]

    def refused(self, seal, tcti="", **keys):
        """The next daemon does not start; what its log says since."""
        self.daemon.stop()
        self.by(seal, tcti, **keys)
        before, had = len(self.daemon.log()), self.contents()
        self.daemon.start(wait=False)
        assert self.daemon.process.wait(20) == 1
        assert self.contents() == had, "a daemon that does not start changes nothing"
        return self.daemon.log()[before:]

    def contents(self):
        return {p: p.read_bytes() for p in self.daemon.state_dir.rglob("*") if p.is_file()}

    def in_clear(self):
        """The files that hold what must not be read."""
        return [p.name for p, data in self.contents().items() if any(c in data for c in CLEAR)]

    def svid(self):
        """The file of the one SVID that is kept; it is written after the workload has its answer."""

        def find():
            return [p for p in self.folder.iterdir() if re.fullmatch("svid-[0-9a-f]{32}", p.name)]

        return until("the record of an SVID", find)[0]

    def fetched(self, workload):
        """What a workload gets, once it is kept."""
        answer = workload.do("fetch")
        self.svid()
        return answer

    def tpm(self):
        """A software TPM of its own; its TCTI."""
        folder = self.daemon.folder / f"tpm-{len(self.tpms)}"
        folder.mkdir(mode=0o700)
        port = 2321 + 2 * len(self.tpms)
        p = self.world.spawn(
            ["/usr/bin/swtpm", "socket", "--tpm2", "--tpmstate", f"dir={folder}", "--flags", "not-need-init,startup-clear",
             "--server", f"type=tcp,port={port}", "--ctrl", f"type=tcp,port={port + 1}"],
            scope="outside")
        self.tpms.append(p)

        def listens():
            assert p.running(), p.text()
            with self.world.socket("node") as s:
                return s.connect_ex(("127.0.0.1", port + 1)) == 0

        until("swtpm to listen", listens)
        return f"swtpm:host=127.0.0.1,port={port}"

    def close(self):
        self.daemon.stop()
        for p in self.tpms:
            p.close()
            shutil.rmtree(p.argv[4].removeprefix("dir="), ignore_errors=True)
        shutil.rmtree(self.daemon.state_dir)
        self.daemon.state_dir.mkdir(mode=0o700)
        self.by("none")
        self.daemon.write_entries([entry(self.world, name) for name in ("frontend", "backend")])
        self.daemon.settings["identity"].pop("authority", None)


@pytest.fixture
def cache(world, daemon):
    c = Cache(world, daemon)
    yield c
    c.close()


def first_answer(p):
    """What a workload is told first by a daemon that is starting: an SVID, or that it has none."""

    def ask():
        answer = p.do("fetch")
        return answer if answer["ok"] or answer["code"] == "PERMISSION_DENIED" else None

    return until("an answer of the Workload API", ask, 20.0)


@pytest.fixture
def frontend(world, daemon):
    p = world.workload("frontend", daemon=daemon, uid=UID["frontend"])
    yield p
    p.close()


# ---- sealed -------------------------------------------------------------------------


def test_sealed_by_a_credential(cache, daemon, frontend):
    assert cache.restart("auto", key=KEY)["seal"] == "credential"
    before = cache.fetched(frontend)
    assert cache.in_clear() == []
    assert {p.stat().st_mode & 0o777 for p in cache.contents()} == {0o600}
    status = cache.restart()
    after = frontend.do("fetch")
    assert (after["serial"], after["bundles"]) == (before["serial"], before["bundles"])
    assert cache.svid() and status["records"] == len(list(cache.folder.iterdir())) and status["bad_records"] == 0 and status["bytes"] > 0
    assert "sealed by a systemd credential" in daemon.cli("status")


def test_a_front_that_died_is_fed_from_sealed_records(cache, daemon, frontend):
    cache.restart("credential", key=KEY)
    serial = cache.fetched(frontend)["serial"]
    old = daemon.front_pid()
    os.kill(old, 9)
    until("another front", lambda: daemon.front_pid() not in (None, old))
    assert first_answer(frontend)["serial"] == serial


def test_what_was_in_clear_is_sealed_and_back(cache, frontend):
    cache.restart("none")
    before = cache.fetched(frontend)
    assert cache.in_clear()
    cache.restart("auto", key=KEY)
    assert cache.in_clear() == []
    assert frontend.do("fetch")["serial"] == before["serial"]
    # Who gives the seal up says so, and has the key.
    assert cache.restart("none", key=KEY)["seal"] == "none"
    assert cache.in_clear() and not cache.manifest.exists()
    after = frontend.do("fetch")
    assert (after["serial"], after["bundles"]) == (before["serial"], before["bundles"])


def test_a_new_credential_takes_over(cache, frontend):
    cache.restart("credential", key=KEY)
    before = cache.fetched(frontend)
    cache.restart("credential", key=OTHER_KEY, old_key=KEY)
    cache.restart("credential", key=OTHER_KEY)
    after = frontend.do("fetch")
    assert (after["serial"], after["bundles"]) == (before["serial"], before["bundles"])
    assert "not at hand" in cache.refused("credential", key=KEY)


def test_without_the_key_no_start(cache, frontend):
    cache.restart("auto", key=KEY)
    before = cache.fetched(frontend)
    for seal, keys in (("auto", {}), ("none", {}), ("auto", {"key": OTHER_KEY})):
        log = cache.refused(seal, **keys)
        assert "not at hand" in log and "cache.manifest" in log, log
    cache.by("auto", key=KEY)
    cache.restart()
    after = frontend.do("fetch")
    assert (after["serial"], after["bundles"]) == (before["serial"], before["bundles"])


def test_what_is_demanded_must_be_there(cache):
    assert "tipstaffd.seal" in cache.refused("credential")
    assert "at least 32 bytes" in cache.refused("auto", key=b"short")
    if not os.path.exists("/dev/tpmrm0"):
        assert "/dev/tpmrm0" in cache.refused("tpm")


def test_unsealed_says_why(cache, daemon):
    status = cache.restart("none")
    assert status["seal"] == "none" and "cache.seal: none" in status["why"]
    assert "not sealed: cache.seal: none" in daemon.cli("status")
    if not os.path.exists("/dev/tpmrm0"):
        assert "neither a credential" in cache.restart("auto")["why"]


# ---- tampered with -------------------------------------------------------------------


def flip(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def test_a_record_that_was_changed_is_made_anew(cache, daemon, frontend):
    cache.restart("credential", key=KEY)
    before = cache.fetched(frontend)
    daemon.stop()
    flip(cache.svid())
    assert cache.restart()["bad_records"] == 1
    after = frontend.do("fetch")
    assert after["serial"] != before["serial"] and after["bundles"] == before["bundles"]
    assert "1 bad" in daemon.cli("status")


def test_an_authority_that_was_changed_is_set_aside(cache, daemon, frontend):
    cache.restart("credential", key=KEY)
    before = cache.fetched(frontend)
    daemon.stop()
    flip(cache.folder / "authority")
    cache.restart()
    assert frontend.do("fetch")["bundles"] != before["bundles"]
    assert (cache.folder / "authority.bad").exists()


def test_an_older_record_is_not_believed(cache, daemon, frontend):
    """A key that a quarantine took away must not come back from a copy of its file."""
    cache.restart("credential", key=KEY)
    frontend.do("fetch")
    record = cache.svid()
    old = record.read_bytes()
    daemon.cli("quarantine", spiffe("frontend"), "--reason", "test")
    until("the record to be deleted", lambda: not record.exists())
    daemon.cli("release", spiffe("frontend"))
    daemon.stop()
    assert not record.exists()
    record.write_bytes(old)
    cache.restart()
    assert "was deleted, and is there again" in daemon.log()
    again = frontend.do("fetch")
    assert again["ok"]
    until("the next record", lambda: record.exists() and record.read_bytes() != old)
    daemon.stop()
    record.write_bytes(old)
    cache.restart()
    assert "is older than" in daemon.log()
    assert frontend.do("fetch")["serial"] != again["serial"]


def test_a_damaged_manifest_stops_the_start(cache, daemon, frontend):
    cache.restart("credential", key=KEY)
    before = cache.fetched(frontend)
    daemon.stop()
    flip(cache.manifest)
    assert "cache.manifest" in cache.refused("credential", key=KEY)
    # As the error says: without it the authority is kept, and SVIDs are made anew.
    cache.manifest.unlink()
    cache.restart()
    after = frontend.do("fetch")
    assert after["bundles"] == before["bundles"] and after["serial"] != before["serial"]


def test_entries_of_the_cli_are_what_the_cli_wrote(cache, world, daemon):
    cache.restart("credential", key=KEY)
    added = daemon.json("identity", "add", spiffe("added"), "--selector", f"cgroup:path:{world.cgroup_path('work/added')}")
    cache.restart()
    assert spiffe("added") in {e["spiffe_id"] for e in daemon.json("identity", "list")["entries"]}
    daemon.stop()
    file = daemon.state_dir / "entries.yaml"
    good = file.read_text(encoding="utf-8")
    for bad in (good.replace("/work/added", "/work/rogue"), ""):
        file.write_text(bad, encoding="utf-8")
        log = cache.refused("credential", key=KEY)
        assert "entries.yaml" in log and "changed by somebody else" in log, log
    file.write_text(good, encoding="utf-8")
    cache.restart()
    daemon.cli("identity", "remove", added["id"])


# ---- what is never served from it ----------------------------------------------------


@pytest.fixture(params=["clear", "sealed"])
def kept(request, cache):
    """Both ways to keep it."""
    cache.restart(*(["none"] if request.param == "clear" else ["credential"]),
                  **({} if request.param == "clear" else {"key": KEY}))
    return cache


def test_a_removed_entry_is_not_served(kept, world, daemon, frontend):
    assert frontend.do("fetch")["ok"]
    record = kept.svid()
    daemon.stop()
    daemon.write_entries([entry(world, "backend")])
    daemon.start(wait=False)
    assert first_answer(frontend)["ok"] is False
    until("its record to be deleted", lambda: not record.exists())


def test_a_quarantined_identity_is_not_served(kept, daemon, frontend):
    """Nor when the record is there: as if the daemon had been killed before it deleted it."""
    assert frontend.do("fetch")["ok"]
    record = kept.svid()
    old, manifest = record.read_bytes(), kept.manifest.read_bytes() if kept.manifest.exists() else None
    daemon.cli("quarantine", spiffe("frontend"), "--reason", "test")
    until("the record to be deleted", lambda: not record.exists())
    daemon.kill_both()
    record.write_bytes(old)
    if manifest:
        kept.manifest.write_bytes(manifest)
    daemon.start(wait=False)
    assert first_answer(frontend)["ok"] is False
    daemon.cli("release", spiffe("frontend"))


def test_a_record_of_another_entry_is_not_served(kept, world, daemon, frontend):
    """Other selectors, another SPIFFE ID, another lifetime: each means another certificate."""
    serials = {frontend.do("fetch")["serial"]}
    changes = (
        {"spiffe_id": spiffe("frontend"), "selectors": [f"unix:uid:{UID['frontend']}"]},
        {"spiffe_id": spiffe("renamed"), "selectors": [f"unix:uid:{UID['frontend']}"]},
        {"spiffe_id": spiffe("renamed"), "selectors": [f"unix:uid:{UID['frontend']}"], "x509_ttl": "20m"},
    )
    for changed in changes:
        daemon.stop()
        daemon.write_entries([changed])
        daemon.start(wait=False)
        answer = first_answer(frontend)
        assert answer["ok"] and answer["spiffe_id"] == changed["spiffe_id"]
        assert answer["serial"] not in serials
        serials.add(answer["serial"])


def test_an_expired_record_is_not_served(kept, daemon, frontend):
    daemon.settings["identity"]["authority"] = {"x509_ttl": "10s"}
    kept.restart()
    old = frontend.do("fetch")
    daemon.stop()
    until("the certificate to expire", lambda: time.time() > old["not_after"], 15.0, 0.2)
    kept.restart()
    assert frontend.do("fetch")["serial"] != old["serial"]


# ---- the TPM -------------------------------------------------------------------------

swtpm = pytest.mark.skipif(not os.path.exists("/usr/bin/swtpm"), reason="swtpm is not installed: tools/install-deps test")


@swtpm
def test_sealed_by_the_tpm(cache, daemon, frontend):
    tcti = cache.tpm()
    assert cache.restart("auto", tcti)["seal"] == "tpm"
    before = cache.fetched(frontend)
    assert cache.in_clear() == [] and cache.tpm_blob.stat().st_mode & 0o777 == 0o600
    blob = cache.tpm_blob.read_bytes()
    cache.restart("tpm", tcti)
    after = frontend.do("fetch")
    assert (after["serial"], after["bundles"]) == (before["serial"], before["bundles"])
    assert cache.tpm_blob.read_bytes() == blob
    assert "sealed by the TPM" in daemon.cli("status")


@swtpm
def test_another_tpm_does_not_open_it(cache, frontend):
    tcti, other = cache.tpm(), cache.tpm()
    cache.restart("auto", tcti)
    serial = cache.fetched(frontend)["serial"]
    for seal in ("auto", "tpm"):
        log = cache.refused(seal, other)
        assert "cache.tpm" in log and "not made by this TPM" in log, log
    # The TPM is away: swtpm's port answers to nobody.
    assert "cannot be reached" in cache.refused("auto", "swtpm:host=127.0.0.1,port=2901")
    assert "not at hand" in cache.refused("none")
    good = cache.tpm_blob.read_bytes()
    for bad in (good[:-1], good[:20] + bytes([good[20] ^ 1]) + good[21:], b"", b"x" * 5000):
        cache.tpm_blob.write_bytes(bad)
        assert "cache.tpm" in cache.refused("auto", tcti)
    cache.tpm_blob.write_bytes(good)
    cache.restart("auto", tcti)
    assert frontend.do("fetch")["serial"] == serial


@swtpm
def test_from_the_tpm_to_a_credential_and_back(cache, frontend):
    tcti = cache.tpm()
    cache.restart("auto", tcti)
    before = cache.fetched(frontend)
    assert cache.restart("auto", tcti, key=KEY)["seal"] == "credential"
    assert not cache.tpm_blob.exists(), "it seals nothing any more"
    assert cache.restart("tpm", tcti, key=KEY)["seal"] == "tpm"
    assert cache.restart("tpm", tcti)["seal"] == "tpm"
    after = frontend.do("fetch")
    assert (after["serial"], after["bundles"]) == (before["serial"], before["bundles"])


@pytest.fixture
def device(world, daemon):
    """A TPM behind the kernel's driver, as on a real machine: its /dev/tpmrmN, which belongs to another user."""
    if not os.path.exists("/dev/vtpmx") and "TIPSTAFF_VM" in os.environ:
        loader = pathlib.Path("/proc/sys/kernel/modprobe").read_text(encoding="ascii").strip()
        subprocess.run([loader, "tpm_vtpm_proxy"], check=False)
    if not os.path.exists("/dev/vtpmx"):
        pytest.skip("this kernel has no tpm_vtpm_proxy")
    folder = daemon.folder / "tpm-device"
    folder.mkdir(mode=0o700)
    p = world.spawn(["/usr/bin/swtpm", "chardev", "--vtpm-proxy", "--tpm2", "--tpmstate", f"dir={folder}"], scope="outside")
    made = re.search(r"/dev/tpm(\d+)", p.line())
    path = f"/dev/tpmrm{made[1]}"
    until(f"{path} to be there", lambda: os.path.exists(path))
    os.chown(path, UID["owner"], UID["owner"])
    os.chmod(path, 0o660)
    yield path
    p.close()


@swtpm
@pytest.mark.kernel
def test_a_device_that_root_may_not_open(cache, daemon, frontend, device):
    """Debian gives /dev/tpmrm0 to the user tss, and the service has no CAP_DAC_OVERRIDE."""
    cache.by("tpm", f"device:{device}")
    daemon.wrap = ["setpriv", "--bounding-set=-dac_override"]
    assert cache.restart()["seal"] == "tpm"
    serial = cache.fetched(frontend)["serial"]
    cache.restart()
    assert frontend.do("fetch")["serial"] == serial


@swtpm
def test_a_tpm_that_cannot_be_used_is_said(cache, frontend):
    """Where nothing was sealed yet, `auto` goes on without."""
    status = cache.restart("auto", "swtpm:host=127.0.0.1,port=2901")
    assert status["seal"] == "none" and "cannot be reached" in status["why"]
    assert frontend.do("fetch")["ok"]
    assert "cannot be reached" in cache.refused("tpm", "swtpm:host=127.0.0.1,port=2901")
