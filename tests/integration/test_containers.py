# SPDX-License-Identifier: Apache-2.0
"""What a container runtime knows is in the first alert of a container; no answer, however bad, stops anything."""

import os
import pathlib
import threading

import pytest

from conftest import UID
from runtimes import Cri, Docker, container, container_status, new_id
from world import until

RULES = """
- rule: Exec
  desc: a program starts
  condition: evt.type in (execve, execveat) and proc.name = true
  output: >
    exec id=%container.id full=%container.full_id name=%container.name type=%container.type image=%container.image
    repository=%container.image.repository tag=%container.image.tag image_id=%container.image.id digest=%container.image.digest
    privileged=%container.privileged start=%container.start_ts ip=%container.ip app=%container.label[app]
    labels=%container.labels mounts=%container.mounts mount0=%container.mount[0] dest=%container.mount.dest[/srv/*]
    rdwr=%container.mount.rdwr[1] ipc=%container.host_ipc pid=%container.host_pid health=%container.healthcheck
    is_health=%proc.is_container_healthcheck pod=%k8s.pod.name ns=%k8s.ns.name uid=%k8s.pod.uid sandbox=%k8s.pod.sandbox_id
    pod_ip=%k8s.pod.ip tier=%k8s.pod.label[tier] cni=%container.cni.json net=%container.host_network
    live=%container.liveness_probe is_live=%proc.is_container_liveness_probe
  priority: Notice
- rule: Privileged
  desc: somebody may do everything
  condition: evt.type in (execve, execveat) and proc.name = uname and container.privileged = true
  output: privileged name=%container.name
  priority: Warning
"""


def sock(world, name):
    return str(world.dir / f"{name}.sock")


def SETTINGS(world):
    return {"containers": {"docker": [sock(world, "docker"), sock(world, "strange")], "podman": [sock(world, "podman")],
                           "cri": [sock(world, "cri")], "hold_ms": 10000}}


@pytest.fixture(scope="module")
def docker(world):
    d = Docker(sock(world, "docker"))
    yield d
    d.close()


@pytest.fixture
def start(world, daemon, docker):
    """Runs a program in a container's cgroup; the fields of the alert about it."""

    def go(cid, *argv, rule="Exec", name="docker-{}.scope", **kwargs):
        mark, shown = daemon.alerts_mark(), cid[:12] or "host"
        assert world.spawn(argv or ["/bin/true"], cgroup=name.format(cid), **kwargs).wait() == 0
        return daemon.wait_alert(lambda a: a["rule"] == rule and a["output_fields"].get("container.id", shown) == shown,
                                 since=mark, timeout=20)["output_fields"]

    return go


def test_outside_it_is_the_host(start):
    seen = start("", name="plain")
    assert (seen["container.id"], seen["container.name"], seen["container.type"]) == ("host", "host", "host")
    assert seen["container.image"] == "" and seen["container.privileged"] is False


def test_the_first_exec_of_a_container_is_told_with_all_of_it(start, docker):
    cid = new_id()
    docker.know(cid)
    docker.delay = 0.3  # longer than the program lives
    try:
        seen = start(cid)
    finally:
        docker.delay = 0
    assert seen["container.id"] == cid[:12]
    assert seen["container.full_id"] == cid
    assert seen["container.name"] == "web-1"
    assert seen["container.type"] == "docker"
    assert seen["container.image"] == "registry.example.org:5000/shop/web:1.2"
    assert seen["container.image.repository"] == "registry.example.org:5000/shop/web"
    assert seen["container.image.tag"] == "1.2"
    assert seen["container.image.id"] == "ab" * 32
    assert seen["container.image.digest"] == "sha256:" + "cd" * 32
    assert seen["container.privileged"] is False
    assert seen["container.start_ts"] == 1767323046000000001
    assert seen["container.ip"] == "172.17.0.9"
    assert seen["container.label[app]"] == "web"
    assert set(seen["container.labels"].split(", ")) == {"app:web", "tier:front"}
    assert seen["container.mount[0]"] == "/srv/data:/data:ro:false:rprivate"
    assert seen["container.mounts"].endswith(",/etc/hosts:/etc/hosts::true:rslave")
    assert seen["container.mount.dest[/srv/*]"] == "/data"
    assert seen["container.mount.rdwr[1]"] == "true"
    assert seen["container.host_ipc"] is True and seen["container.host_pid"] is False
    assert seen["container.healthcheck"] == "/bin/true health"
    assert seen["k8s.pod.name"] is None and seen["k8s.ns.name"] is None


def test_it_is_asked_about_once(start, docker):
    cid = new_id()
    docker.know(cid)
    for _ in range(3):
        assert start(cid)["container.name"] == "web-1"
    assert docker.times_asked(cid) == 1


def test_a_condition_on_what_only_the_runtime_knows(start, docker):
    cid = new_id()
    docker.know(cid, HostConfig={"Privileged": True})
    docker.delay = 0.2
    try:
        assert start(cid, "/bin/uname", rule="Privileged")["container.name"] == "web-1"
    finally:
        docker.delay = 0


def test_what_waits_across_a_reload_is_for_the_rules_it_came_under(world, start, docker, daemon):
    """The event of the first rules waits for its container while others come: those are not for it, the first ones are."""
    one, other = ("""
- rule: %s
  desc: a program starts in a container
  condition: evt.type in (execve, execveat) and proc.name = uname and container.name = web-1
  output: %s name=%%container.name
  priority: Notice
""" % (name, name) for name in ("Before", "After"))
    before, after = world.file("before.yaml", text=one, mode=0o644), world.file("after.yaml", text=other, mode=0o644)
    daemon.cli("rules", "add", before, "--name", "waiting")
    cid = new_id()
    docker.know(cid)
    mark = daemon.alerts_mark()
    docker.delay = 4
    try:
        assert world.spawn(["/bin/uname"], cgroup=f"docker-{cid}.scope").wait() == 0
        until("the runtime to be asked", lambda: docker.times_asked(cid))
        daemon.cli("rules", "add", after, "--name", "waiting")
        assert daemon.wait_alert("Before", mark, timeout=20)["output_fields"]["container.name"] == "web-1"
        # what comes from here on is for the second ones
        docker.delay = 0
        assert world.spawn(["/bin/uname"], cgroup=f"docker-{cid}.scope").wait() == 0
        daemon.wait_alert("After", mark, timeout=20)
    finally:
        docker.delay = 0
        daemon.cli("rules", "remove", "waiting")
    assert [a["rule"] for a in daemon.told(mark) if a["rule"] in ("Before", "After")] == ["Before", "After"]


@pytest.mark.timeout(300)
def test_reloads_lose_nothing_that_waits(world, docker, daemon):
    """200 reloads that alternate two sets, while events of both wait for their containers: each is told, and once."""
    files = [world.file(f"held-{own}.yaml", mode=0o644, text=f"""
- rule: Held
  desc: what both sets want, and what only this one does
  condition: evt.type in (execve, execveat) and (proc.name = uname or proc.name = {own})
  output: held id=%container.id name=%container.name
  priority: Notice
""") for own in ("left", "right")]
    daemon.cli("rules", "add", files[0], "--name", "held")
    mark = daemon.alerts_mark()
    started = []
    docker.delay = 1
    try:
        for i in range(1, 201):
            if i % 10 == 0:
                cid = new_id()
                docker.know(cid)
                assert world.spawn(["/bin/uname"], cgroup=f"docker-{cid}.scope").wait() == 0
                started.append(cid[:12])
            daemon.cli("rules", "add", files[i % 2], "--name", "held")

        def told():
            return [a["output_fields"]["container.id"] for a in daemon.alerts(mark) if a["rule"] == "Held"]

        until("each of them to be told", lambda: set(told()) == set(started), 60)
    finally:
        docker.delay = 0
    assert world.spawn(["/bin/uname"], cgroup="after").wait() == 0
    until("what came after them", lambda: len(told()) > len(started))
    assert sorted(told()) == sorted([*started, "host"])
    daemon.cli("rules", "remove", "held")


def test_rules_that_change_more_often_than_is_kept(world, docker, daemon):
    """Sixteen former sets are kept for what waits; what came under the seventeenth is told with what is known, and counted."""
    path = world.file("many.yaml", mode=0o644, text="""
- rule: Many
  desc: what waits
  condition: evt.type in (execve, execveat) and proc.name = uname
  output: many id=%container.id name=%container.name
  priority: Notice
""")
    daemon.cli("rules", "add", path, "--name", "many")
    mark, before = daemon.alerts_mark(), daemon.status()["rules"]
    started = []

    def told():
        return {a["output_fields"]["container.id"]: a["output_fields"]["container.name"] for a in daemon.alerts(mark) if a["rule"] == "Many"}

    docker.delay = 9  # a second less than is waited
    try:
        for i in range(17):
            cid = new_id()
            docker.know(cid)
            assert world.spawn(["/bin/uname"], cgroup=f"docker-{cid}.scope").wait() == 0
            started.append(cid[:12])
            until("it to wait", lambda: daemon.status()["rules"]["waiting"] == len(started))
            daemon.cli("rules", "add", path, "--name", "many")
        until("the first to be told", lambda: told() == {started[0]: None})
        now = daemon.status()["rules"]
        assert (now["hurried"] - before["hurried"], now["not_held"] - before["not_held"], now["waiting"]) == (1, 0, 16)
        assert "1 events did not wait any longer" in daemon.log()
        assert now["loaded"] > before["loaded"]
        until("the others to be told", lambda: set(told()) == set(started), 60)
    finally:
        docker.delay = 0
        daemon.cli("rules", "remove", "many")


def test_a_health_check_is_known_as_one(start, docker):
    cid = new_id()
    docker.know(cid)
    assert start(cid, "/bin/true", "health")["proc.is_container_healthcheck"] is True
    assert start(cid, "/bin/true", "wealth")["proc.is_container_healthcheck"] is False


def test_what_kubernetes_labels_say(start, docker):
    cid = new_id()
    docker.know(cid, Config={"Image": "pause", "Labels": {"io.kubernetes.pod.name": "web-7d9", "io.kubernetes.pod.namespace": "shop"}})
    seen = start(cid)
    assert (seen["k8s.pod.name"], seen["k8s.ns.name"]) == ("web-7d9", "shop")
    assert (seen["container.image.repository"], seen["container.image.tag"]) == ("pause", "latest")


def test_podman_answers_in_the_same_way(world, start):
    cid = new_id()
    podman = Docker(sock(world, "podman"))
    try:
        podman.know(cid, Name="pod-1")
        podman.chunked = True
        seen = start(cid, name="libpod-{}.scope")
    finally:
        podman.close()
    assert (seen["container.name"], seen["container.type"]) == ("pod-1", "podman")


@pytest.fixture(scope="module")
def cri(world):
    c = Cri(sock(world, "cri"))
    yield c
    c.close()


def test_a_container_of_a_pod(start, cri):
    cid, sandbox = new_id(), new_id()
    cri.know(cid, sandbox)
    seen = start(cid, "/bin/true", "live", name="pod-1/cri-containerd-{}.scope")
    assert seen["container.name"] == "web"
    assert seen["container.type"] == "containerd"
    assert seen["container.image"] == "docker.io/shop/web:1.2"
    assert (seen["container.image.repository"], seen["container.image.tag"]) == ("docker.io/shop/web", "1.2")
    assert seen["container.image.id"] == "12" * 32
    assert seen["container.image.digest"] == "sha256:" + "ef" * 32
    assert seen["container.privileged"] is False
    assert seen["container.start_ts"] == 1767323046000000001
    assert seen["container.ip"] == seen["k8s.pod.ip"] == "10.1.2.3"
    assert seen["container.label[app]"] == "web"
    assert seen["container.mount[0]"] == "/srv/data:/data::false:rslave"
    assert seen["container.host_network"] is True and seen["container.host_pid"] is False
    assert seen["container.cni.json"] == '{"eth0":{"Mac":"x"}}'
    assert seen["container.liveness_probe"] == "/bin/true live"
    assert seen["proc.is_container_liveness_probe"] is True
    assert (seen["k8s.pod.name"], seen["k8s.pod.uid"], seen["k8s.ns.name"]) == ("web-7d9", "uid-1", "shop")
    assert seen["k8s.pod.sandbox_id"] == sandbox[:12]
    assert seen["k8s.pod.label[tier]"] == "front"


def test_the_sandbox_of_a_pod(start, cri):
    cid, sandbox = new_id(), new_id()
    cri.know(cid, sandbox)
    seen = start(sandbox, name="pod-2/cri-containerd-{}.scope")
    assert seen["container.image.repository"] == "registry.k8s.io/pause"
    assert (seen["k8s.pod.name"], seen["k8s.ns.name"]) == ("web-7d9", "shop")


def test_a_privileged_container_of_a_pod_by_its_bare_id(start, cri):
    cid = new_id()
    cri.know(cid, new_id(), privileged=True)
    seen = start(cid, "/bin/uname", rule="Privileged", name="kubepods/pod-3/{}")
    assert seen["container.name"] == "web"


def test_what_the_cri_does_not_know(start, cri, daemon):
    cid = new_id()
    seen = start(cid, name="pod-4/crio-{}.scope")
    assert (seen["container.type"], seen["container.name"], seen["k8s.pod.name"]) == ("cri-o", None, None)
    assert ["PodSandboxStatus", cid] in cri.asked()


def test_a_bad_answer_of_the_cri_is_none(start, cri, daemon):
    front = daemon.front_pid()
    for bad in (b"\xff" * 50, container_status(new_id()), b"\0" * 400000):
        cid = new_id()
        cri.know(cid, new_id(), status=bad)
        assert start(cid, name="pod-5/cri-containerd-{}.scope")["container.name"] is None
    assert daemon.front_pid() == front


def test_an_unknown_container_is_told_of_without(start, docker):
    seen = start(new_id())
    assert seen["container.type"] == "docker", "the name of the cgroup says so"
    assert seen["container.name"] is None and seen["container.image"] is None


LONG = {"Labels": {f"key{i}": "x" * 4000 for i in range(50)}, "Image": "a/b:c"}
BAD = {
    "no HTTP": b"\x16\x03\x01 hello\r\n\r\n",
    "cut": b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n{\"Id\":",
    "nothing": b"",
    "no JSON": b"HTTP/1.1 200 OK\r\n\r\nhello",
    "an array": b"HTTP/1.1 200 OK\r\n\r\n[1,2]",
    "a huge length": b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999\r\n\r\n{",
    "a huge chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffff\r\n{",
    "an endless head": b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 50000,
    "nested": b"HTTP/1.1 200 OK\r\n\r\n" + b"{\"a\":" * 20000,
    "no text": b"HTTP/1.1 200 OK\r\n\r\n{\"Id\":\"\xff\xfe\"}",
}


@pytest.mark.parametrize("kind", BAD)
def test_a_bad_answer_is_none(start, docker, daemon, kind):
    front = daemon.front_pid()
    cid = new_id()
    docker.answers[f"/containers/{cid}/json"] = BAD[kind]
    seen = start(cid)
    assert seen["container.id"] == cid[:12] and seen["container.name"] is None
    assert daemon.front_pid() == front


def test_an_answer_about_another_container_is_none(start, docker):
    cid = new_id()
    docker.answers[f"/containers/{cid}/json"] = container(new_id())
    assert start(cid)["container.name"] is None


def test_what_is_too_long_is_left_out(start, docker):
    cid = new_id()
    docker.know(cid, Config=LONG)
    seen = start(cid)
    assert seen["container.image"] == "a/b:c"
    assert seen["container.image.digest"] == "sha256:" + "cd" * 32
    assert len(seen["container.labels"]) < 16384


def test_a_socket_that_is_not_roots_is_not_asked(world, start, daemon):
    cid = new_id()
    strange = Docker(sock(world, "strange"))
    try:
        strange.know(cid)
        os.chown(strange.path, UID["rogue"], -1)
        assert start(cid)["container.name"] is None
        assert not strange.asked
        until("the daemon says why", lambda: "is not root's" in daemon.log())
    finally:
        strange.close()


def test_a_cgroup_that_a_user_made_is_nobodys_container(world, start, docker):
    """user@1000.service is that user's: below it he makes a cgroup with the name of a container of root's."""
    cid = new_id()
    docker.know(cid)
    os.chown(world.cgroup_dir("work/user"), UID["rogue"], -1)
    seen = start(cid, name="user/docker-{}.scope")
    assert seen["container.id"] == cid[:12]
    assert seen["container.name"] is None
    assert docker.times_asked(cid) == 0
    assert start(cid)["container.name"] == "web-1", "the real one is told as before"


V1 = pathlib.Path("/sys/fs/cgroup/pids")


@pytest.mark.skipif(not (V1 / "cgroup.procs").exists(), reason="no cgroup v1 hierarchy is mounted")
def test_a_container_that_is_in_cgroup_v1_only(world, daemon, docker, start):
    cid = new_id()
    docker.know(cid)
    box = V1 / world.name / "docker" / cid
    box.mkdir(parents=True)
    try:
        # As a runtime does: into the cgroup, then the program, which is there until it is told of: v1 is read from /proc.
        true = world.file("true", pathlib.Path("/bin/sleep"))

        def enter(folder):
            mark = daemon.alerts_mark()
            p = world.spawn(["/bin/sh", "-c", f"echo $$ > {folder}/cgroup.procs; exec {true} 600"], cgroup="v1")
            seen = daemon.wait_alert("Exec", mark, timeout=20)["output_fields"]
            p.close()
            return seen

        seen = enter(box)
        assert (seen["container.id"], seen["container.name"]) == (cid[:12], "web-1")
        assert start("", name="v1")["container.id"] == "host"
        os.chown(box.parent, UID["rogue"], -1)
        other = new_id()
        docker.know(other)
        (box.parent / other).mkdir()
        seen = enter(box.parent / other)
        assert (seen["container.id"], seen["container.name"]) == (other[:12], None)
    finally:
        for folder in (*box.parent.iterdir(), box.parent, box.parent.parent):
            if folder.is_dir():
                until(f"{folder} is empty", lambda f=folder: removed(f))


def removed(folder):
    try:
        folder.rmdir()
    except OSError:
        return False
    return True


def test_what_is_counted(start, docker, daemon):
    before = daemon.status()["containers"]
    cid = new_id()
    docker.know(cid)
    start(cid)
    start(new_id())

    def counted():
        now = daemon.status()["containers"]
        return now["asked"] >= before["asked"] + 2 and now["unknown"] > before["unknown"] and now["known"] and now["count"]

    until("two questions and an unknown answer are counted", counted)
    assert "containers" in daemon.cli("status")


def test_a_silent_runtime_delays_alerts_once(world):
    # A daemon of its own, which waits less than the runtime takes.
    d = world.daemon("quiet", rules=RULES, scope_cgroup="quiet", containers={"docker": [sock(world, "quiet")], "hold_ms": 300})
    docker = Docker(sock(world, "quiet"))
    docker.delay = 3600
    cid = new_id()
    docker.know(cid)
    try:
        d.start()
        for _ in range(20):
            mark = d.alerts_mark()
            assert world.spawn(["/bin/true"], cgroup=f"docker-{cid}.scope", scope="quiet").wait() == 0
            seen = d.wait_alert(lambda a: a["rule"] == "Exec", since=mark, timeout=20)["output_fields"]
            assert seen["container.id"] == cid[:12] and seen["container.name"] is None
        until("it is asked", lambda: docker.times_asked(cid))
        assert docker.times_asked(cid) == 1
    finally:
        docker.close()
        d.stop()


def test_the_next_front_asks_again(start, docker, daemon):
    cid = new_id()
    docker.know(cid)
    docker.delay = 0.7
    try:
        first = daemon.front_pid()
        asked = docker.times_asked(cid)
        seen = {}
        t = threading.Thread(target=lambda: seen.update(start(cid)))
        t.start()
        until("the first front asks", lambda: docker.times_asked(cid) > asked)
        os.kill(first, 9)
        t.join(30)
        assert seen["container.name"] == "web-1", seen
    finally:
        docker.delay = 0


def test_what_comes_while_there_is_no_front_waits_for_one(start, docker, daemon):
    cid = new_id()
    docker.know(cid)
    for _ in range(4):  # each that dies young delays the next one for longer
        front = until("a front", daemon.front_pid)
        os.kill(front, 9)
        until("its end", lambda: daemon.front_pid() != front)
    assert start(cid)["container.name"] == "web-1"
