# SPDX-License-Identifier: Apache-2.0
"""Runtimes tell of containers as they are made: one that is gone when it is asked about is known all the same."""

import os

import pytest

from runtimes import Cri, Docker, container_event, event, new_id
from world import until

RULES = """
- rule: Exec
  desc: a program starts
  condition: evt.type in (execve, execveat) and proc.name = true
  output: >
    exec full=%container.full_id name=%container.name type=%container.type image=%container.image
    repository=%container.image.repository tag=%container.image.tag digest=%container.image.digest app=%container.label[app]
    labels=%container.labels privileged=%container.privileged pod=%k8s.pod.name ns=%k8s.ns.name uid=%k8s.pod.uid
    sandbox=%k8s.pod.sandbox_id pod_ip=%k8s.pod.ip tier=%k8s.pod.label[tier]
  priority: Notice
"""


def sock(world, name):
    return str(world.dir / f"{name}.sock")


def SETTINGS(world):
    return {"containers": {"docker": [sock(world, "docker")], "podman": [], "cri": [sock(world, "cri")], "hold_ms": 10000}}


def counts(daemon):
    return daemon.status()["containers"]


class Runtime(Docker):
    """Docker with events, and somebody who listens."""

    def __init__(self, world, daemon, name="docker"):
        super().__init__(sock(world, name), events=True)
        until("somebody listens", lambda: self.listeners, 60)

    def close(self):
        super().close()
        os.unlink(self.path)
        self.hang_up()


@pytest.fixture(scope="module")
def docker(world, daemon):
    d = Runtime(world, daemon)
    yield d
    d.close()


@pytest.fixture
def start(world, daemon):
    """Runs a program in a container's cgroup; the fields of the alert about it. `between`: what happens then."""

    def go(cid, name="docker-{}.scope", between=None):
        mark = daemon.alerts_mark()
        assert world.spawn(["/bin/true"], cgroup=name.format(cid)).wait() == 0
        if between:
            between()
        return daemon.wait_alert(lambda a: a["rule"] == "Exec", since=mark, timeout=20)["output_fields"]

    return go


def brief(seen):
    return seen["container.name"], seen["container.image.repository"], seen["container.image.tag"], seen["container.label[app]"]


MADE = {"name": "brief", "image": "shop/box:1.2", "app": "shop"}
BRIEF = ("brief", "shop/box", "1.2", "shop")


def test_one_that_is_gone_when_it_is_asked_about(start, docker, daemon):
    before = counts(daemon)["by_event"]
    cid = new_id()
    docker.tell(cid, **MADE, **{"io.kubernetes.pod.name": "web-7d9"})
    seen = start(cid)
    assert brief(seen) == BRIEF
    assert (seen["container.type"], seen["container.full_id"], seen["k8s.pod.name"]) == ("docker", cid, "web-7d9")
    assert set(seen["container.labels"].split(", ")) == {"app:shop", "io.kubernetes.pod.name:web-7d9"}
    assert seen["container.privileged"] is None, "that was not said"
    until("it is counted", lambda: counts(daemon)["by_event"] > before)


def test_one_whose_event_comes_behind_its_end(start, docker):
    cid = new_id()

    def between():
        until("it was asked about, in vain", lambda: f"/containers/{cid}/json" in docker.answered)
        docker.tell(cid, "start", **MADE)

    assert brief(start(cid, between=between)) == BRIEF


def test_it_is_asked_about_before_its_first_process(start, docker):
    cid = new_id()
    docker.know(cid)
    image = "/images/sha256:" + "ab" * 32 + "/json"
    asked = docker.answered.count(image)
    docker.tell(cid, **MADE)
    until("it was asked about", lambda: docker.answered.count(image) > asked)
    docker.answers.clear()
    seen = start(cid)
    assert (seen["container.name"], seen["container.image.digest"]) == ("web-1", "sha256:" + "cd" * 32)
    assert seen["container.privileged"] is False


def test_an_alert_that_cannot_wait_has_what_the_event_said(world):
    d = world.daemon("short", rules=RULES, scope_cgroup="short",
                     containers={"docker": [sock(world, "short")], "podman": [], "cri": [], "hold_ms": 5000})
    runtime = Docker(sock(world, "short"), events=True)
    runtime.delay = 3600
    try:
        d.start()
        until("somebody listens", lambda: runtime.listeners)
        cid = new_id()
        runtime.tell(cid, **MADE)
        until("it is asked about", lambda: runtime.times_asked(cid))
        mark = d.alerts_mark()
        assert world.spawn(["/bin/true"], cgroup=f"docker-{cid}.scope", scope="short").wait() == 0
        assert brief(d.wait_alert(lambda a: a["rule"] == "Exec", since=mark, timeout=20)["output_fields"]) == BRIEF
    finally:
        runtime.close()
        d.stop()


def test_other_events_are_nothing(docker):
    cid = new_id()
    docker.tell(cid, "die", **MADE)
    docker.say(event(cid, "create", **MADE).replace(b'"container"', b'"network"'))
    other = new_id()
    docker.tell(other, **MADE)
    until("the one behind them is asked about", lambda: docker.times_asked(other))
    assert docker.times_asked(cid) == 0


BAD = {
    "no JSON": b"hello\n",
    "no object": b"[1]\n",
    "no id": event("../images", "create"),
    "no text": b'{"Type":"container","Action":"create","Actor":{"ID":"\xff\xfe"}}\n',
    "nested": b'{"a":' * 10000 + b"\n",
    "too long": b'{"a":"' + b"x" * 200000 + b'"}\n',
    "nothing": b"\0\0\0\n",
}


@pytest.mark.parametrize("kind", BAD)
def test_junk_among_events(start, docker, daemon, kind):
    front, before = daemon.front_pid(), counts(daemon)
    docker.say(BAD[kind])
    cid = new_id()
    docker.tell(cid, **MADE)
    assert brief(start(cid)) == BRIEF
    until("it is counted", lambda: counts(daemon)["bad_events"] > before["bad_events"])
    assert daemon.front_pid() == front and counts(daemon)["breaks"] == before["breaks"]


def test_the_runtime_ends_and_comes_back(world, daemon, start, docker):
    before = counts(daemon)["breaks"]
    docker.say(event(new_id(), "create", **MADE)[:50])
    docker.hang_up()
    until("somebody listens again", lambda: counts(daemon)["breaks"] > before and docker.listeners, 60)
    cid = new_id()
    docker.tell(cid, **MADE)
    assert brief(start(cid)) == BRIEF


def test_more_are_made_than_there_is_room_for(daemon, docker):
    before = counts(daemon)["events"]
    for _ in range(400):
        docker.tell(new_id(), **MADE)
    until("they are heard of", lambda: counts(daemon)["events"] >= before + 400, 60)
    until("the oldest are forgotten", lambda: counts(daemon)["created"] == 256, 60)


def test_the_next_front_listens_too(daemon, start, docker):
    first = docker.listeners[0]
    os.kill(daemon.front_pid(), 9)
    until("the next one listens, alone", lambda: docker.listeners and first not in docker.listeners, 60)
    cid = new_id()
    docker.tell(cid, **MADE)
    assert brief(start(cid)) == BRIEF


def test_nobody_listens_when_it_is_switched_off(world):
    d = world.daemon("deaf", rules=RULES, scope_cgroup="deaf",
                     containers={"docker": [sock(world, "deaf")], "podman": [], "cri": [], "events": False})
    runtime = Docker(sock(world, "deaf"), events=True)
    try:
        d.start()
        cid = new_id()
        runtime.know(cid)
        mark = d.alerts_mark()
        assert world.spawn(["/bin/true"], cgroup=f"docker-{cid}.scope", scope="deaf").wait() == 0
        seen = d.wait_alert(lambda a: a["rule"] == "Exec", since=mark, timeout=20)["output_fields"]
        assert seen["container.name"] == "web-1"
        assert not [path for path in runtime.asked if path.startswith("/events")]
    finally:
        runtime.close()
        d.stop()


def listened_to(cri):
    return ["GetContainerEvents", ""] in cri.asked()


def test_the_cri_tells_of_a_pod(world, daemon, start):
    cri = Cri(sock(world, "cri"), version="v2.0.4")
    try:
        until("somebody listens", lambda: listened_to(cri), 60)  # it tries again every 16 seconds
        cid, sandbox = new_id(), new_id()
        cri.tell(event=container_event(new_id(), sandbox, kind=3).hex())
        cri.tell(event=(b"\xff" * 9).hex())
        cri.tell(event=container_event(cid, sandbox).hex())
        seen = start(cid, name="pod-1/cri-containerd-{}.scope")
    finally:
        cri.close()
    assert (seen["container.name"], seen["container.type"]) == ("web", "containerd")
    assert (seen["container.image"], seen["container.image.digest"]) == ("docker.io/shop/web:1.2", "sha256:" + "ef" * 32)
    assert (seen["k8s.pod.name"], seen["k8s.ns.name"], seen["k8s.pod.uid"]) == ("web-7d9", "shop", "uid-1")
    assert (seen["k8s.pod.sandbox_id"], seen["k8s.pod.ip"]) == (sandbox[:12], "10.1.2.3")
    assert (seen["container.label[app]"], seen["k8s.pod.label[tier]"]) == ("web", "front")


def test_the_cri_is_not_listened_to_where_the_kubelet_would_miss_it(world):
    """Before containerd 2.0 and cri-o 1.28 each event was told to one listener only."""
    old = {name: Cri(sock(world, name), version=version)
           for name, version in {"old-1": "v1.7.24-k3s1", "old-2": "1.26.1", "old-3": "unknown"}.items()}
    d = world.daemon("old", rules=RULES, scope_cgroup="old",
                     containers={"docker": [], "podman": [], "cri": [sock(world, name) for name in old]})
    try:
        d.start()
        until("the daemon says why of each", lambda: d.log().count("the kubelet would miss") == len(old))
        for cri in old.values():
            assert ["Version", ""] in cri.asked() and not listened_to(cri)
    finally:
        for cri in old.values():
            cri.close()
        d.stop()
