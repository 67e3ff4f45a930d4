# SPDX-License-Identifier: Apache-2.0
"""What enforces is pinned: it holds at every moment, whatever becomes of the daemon or of the rules."""

import pytest

from conftest import spiffe
from test_enforce import FRONTEND, OPENS, has_lsm, rule
from test_enforce import frontend, guard, guarded, secret  # noqa: F401 # fixtures
from world import until

pytestmark = pytest.mark.kernel

LOOP = """
import os, sys
secret, stop, out = sys.argv[1:]
tries = slips = 0
while not os.path.exists(stop):
    for _ in range(20):
        tries += 1
        try:
            os.close(os.open(secret, os.O_RDONLY))
            slips += 1
        except PermissionError:
            pass
with open(out + ".part", "w") as f:
    f.write(f"{tries} {slips}")
os.rename(out + ".part", out)
"""

# Without LSM the process that tries dies of it: another one tries next.
SHELL_LOOP = """
tries=0 slips=0
while ! [ -e "$2" ]; do
    tries=$((tries + 1))
    if /bin/cat "$1" > /dev/null 2>&1; then slips=$((slips + 1)); fi
done
echo $tries $slips > "$3.part"; mv "$3.part" "$3"
"""


@pytest.fixture
def trier(world, frontend, guarded):
    """Tries the guarded file again and again from now on; trier() ends that and gives (tries, slips)."""
    stop, out = guarded.parent / "stop", guarded.parent / "counts"
    if has_lsm():
        argv = ["/usr/bin/python3", str(world.file("trier.py", text=LOOP))]
    else:
        argv = ["/bin/bash", str(world.file("trier.sh", text=SHELL_LOOP))]
    line = " ".join([*argv, str(guarded), str(stop), str(out)])
    frontend.do("run", argv=["/bin/bash", "-c", f"{line} > /dev/null 2>&1 &"])

    def end():
        stop.write_text("", encoding="ascii")
        until("the trier to end", out.exists, 20)
        return tuple(map(int, out.read_text(encoding="ascii").split()))

    yield end
    stop.write_text("", encoding="ascii")


@pytest.mark.timeout(600)
def test_twenty_restarts_and_no_slip(daemon, trier):
    """kill -9 and SIGTERM by turns: what holds is adopted without a gap."""
    for n in range(20):
        if n % 2:
            daemon.stop()
        else:
            daemon.kill_both()
        daemon.start()
    tries, slips = trier()
    assert tries > 100 and slips == 0, (tries, slips)


@pytest.mark.timeout(600)
def test_a_hundred_sets_and_no_slip(world, daemon, trier, guarded):
    """Two sets that both forbid the file, one after the other, while it is tried."""
    files = [world.file(f"set{n}.yaml", text=rule(condition), mode=0o644) for n, condition in enumerate([
        f"{OPENS} and fd.path.real startswith {guarded.parent}/s and {FRONTEND}",
        f"{OPENS} and fd.path.real = {guarded} and not spiffe.id = {spiffe('nobody')}",
    ])]
    for n in range(100):
        daemon.cli("rules", "add", files[n % 2], "--name", "guard")
    tries, slips = trier()
    assert tries > 100 and slips == 0, (tries, slips)
