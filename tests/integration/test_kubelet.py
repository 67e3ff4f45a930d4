# SPDX-License-Identifier: Apache-2.0
"""What the kubelet says of its pods is in the alerts about containers that no runtime answers for; asking it leaks nothing."""

import ipaddress
import json
import os
import socket

import pytest
from cryptography import x509

from authority import Authority
from kubelet import OK, Kubelet, pod
from runtimes import Docker, new_id
from world import until

RULES = """
- rule: Exec
  desc: a program starts
  condition: evt.type in (execve, execveat) and proc.name = true
  output: >
    exec id=%container.id name=%container.name type=%container.type image=%container.image repository=%container.image.repository
    tag=%container.image.tag digest=%container.image.digest privileged=%container.privileged start=%container.start_ts
    ip=%container.ip mounts=%container.mounts pid=%container.host_pid net=%container.host_network live=%container.liveness_probe
    is_live=%proc.is_container_liveness_probe pod=%k8s.pod.name ns=%k8s.ns.name uid=%k8s.pod.uid pod_ip=%k8s.pod.ip
    tier=%k8s.pod.label[tier] sandbox=%k8s.pod.sandbox_id
  priority: Notice
"""
SETTINGS = {"containers": {"docker": [], "podman": [], "cri": [], "hold_ms": 10000}}
TOKEN = "eyJhbGciOiJSUzI1NiJ9.e30.secret-of-this-test"


def node():
    """The name that a kubelet's certificate has."""
    return x509.DNSName(socket.gethostname().lower())


@pytest.fixture
def kubelet(world, daemon):
    """Starts a kubelet, with TLS if it has a `server`, and the daemon anew, which may ask it; `keys`: of containers.kubelet."""
    made = []

    def begin(server=None, token=None, **keys):
        k = Kubelet(world, server)
        made.append(k)
        k.token = token
        if token:
            keys.setdefault("token_file", str(world.file("token", text=token + "\n", mode=0o600)))
        daemon.stop()
        daemon.settings["containers"]["kubelet"] = {"url": f"http{'s' if server else ''}://127.0.0.1:{k.port}", **keys}
        k.log_before = len(daemon.log())
        daemon.start()
        return k

    yield begin
    for k in made:
        k.close()
    daemon.settings["containers"].pop("kubelet", None)
    daemon.settings["containers"]["docker"] = []


@pytest.fixture
def secure(world, kubelet):
    """The same over TLS, with a token."""

    def begin(**keys):
        authority = Authority(world, "kubelet-ca")
        return kubelet(authority.server(node()), token=TOKEN, ca_cert=str(authority.pem), **keys)

    return begin


@pytest.fixture
def start(world, daemon):
    """Runs a program in a container's cgroup; the fields of the alert about it."""

    def go(cid, *argv, name="kubepods.slice/cri-containerd-{}.scope"):
        mark = daemon.alerts_mark()
        assert world.spawn(argv or ["/bin/true"], cgroup=name.format(cid)).wait() == 0
        return daemon.wait_alert(lambda a: a["rule"] == "Exec" and a["output_fields"]["container.id"] == cid[:12], since=mark,
                                 timeout=30)["output_fields"]

    return go


def until_known(start, k, timeout=40.0):
    """Containers are made until one is known; the daemon leaves a kubelet alone for a while that gave no list."""

    def known():
        cid = new_id()
        k.pods = [pod(cid)]
        return start(cid)["container.name"] == "web"

    until("a container to be known", known, timeout)


def said(daemon, k):
    """The log of the daemon that asks this kubelet."""
    return daemon.log()[k.log_before:]


def counted(daemon):
    return daemon.status()["containers"]


def test_a_container_of_a_pod(start, secure):
    k, cid = secure(), new_id()
    k.pods = [pod(new_id(), "other"), pod(cid), {"metadata": {"name": "has-no-status"}}]
    seen = start(cid, "/bin/true", "live")
    assert seen["container.name"] == "web"
    assert seen["container.type"] == "containerd"
    assert seen["container.image"] == "registry.example.org:5000/shop/web:1.2"
    assert (seen["container.image.repository"], seen["container.image.tag"]) == ("registry.example.org:5000/shop/web", "1.2")
    assert seen["container.image.digest"] == "sha256:" + "cd" * 32
    assert seen["container.privileged"] is True
    assert seen["container.start_ts"] == 1767323046000000000
    assert seen["container.ip"] == seen["k8s.pod.ip"] == "10.1.2.3"
    assert seen["container.mounts"] == "/srv/data:/data::false:private"
    assert seen["container.host_pid"] is True and seen["container.host_network"] is False
    assert seen["container.liveness_probe"] == "/bin/true live" and seen["proc.is_container_liveness_probe"] is True
    assert (seen["k8s.pod.name"], seen["k8s.ns.name"], seen["k8s.pod.uid"]) == ("web-7d9", "shop", "uid-1")
    assert seen["k8s.pod.label[tier]"] == "front" and seen["k8s.pod.sandbox_id"] is None
    assert k.asked[0].startswith(f"GET /pods HTTP/1.1\r\nHost: 127.0.0.1:{k.port}\r\n")
    assert f"\r\nAuthorization: Bearer {TOKEN}\r\n" in k.asked[0]


def test_over_the_read_only_port(start, kubelet):
    k, cid = kubelet(), new_id()
    k.pods = [pod(cid)]
    assert start(cid)["k8s.pod.name"] == "web-7d9"
    assert "Authorization" not in k.asked[0]


def test_one_that_the_kubelet_lists_only_later(start, kubelet):
    """It knows a container's ID only when it has looked at its runtime: the alert waits for the list behind that."""
    k, cid = kubelet(), new_id()

    class Later:
        """The answer changes once it was given."""

        def __iter__(self):
            k.answer, k.pods = None, [pod(cid)]
            yield OK + b"\r\n" + b'{"items":null}'

    k.answer = Later()
    assert start(cid)["container.name"] == "web"
    assert len(k.asked) == 2


def test_one_list_tells_of_many(world, daemon, kubelet):
    k, ids = kubelet(), [new_id() for _ in range(40)]
    k.pods = [pod(cid) for cid in ids]
    mark = daemon.alerts_mark()
    for p in [world.spawn(["/bin/true"], cgroup=f"kubepods.slice/cri-containerd-{cid}.scope") for cid in ids]:
        assert p.wait() == 0

    def named():
        return {a["output_fields"]["container.id"] for a in daemon.alerts(mark) if a["output_fields"].get("container.name") == "web"}

    until("each to be known", lambda: named() == {cid[:12] for cid in ids}, 20.0)
    assert len(k.asked) < 10
    until("it to be counted", lambda: counted(daemon)["by_kubelet"] == 40 and counted(daemon)["lists"] == len(k.asked))
    assert "40 containers known by them" in daemon.cli("status")


def test_a_runtime_that_knows_it_is_enough(world, daemon, start, kubelet):
    docker, cid = Docker(str(world.dir / "docker.sock")), new_id()
    daemon.settings["containers"]["docker"] = [docker.path]
    k = kubelet()
    try:
        docker.know(cid)
        assert start(cid, name="docker-{}.scope")["container.name"] == "web-1"
        assert not k.asked
        other = new_id()
        k.pods = [pod(other)]
        assert start(other)["container.name"] == "web"
        assert docker.times_asked(other) == 1
    finally:
        docker.close()


def test_the_token_is_read_again(world, daemon, start, secure):
    k = secure()
    until_known(start, k)
    k.token = "another.one"
    world.file("token", text=k.token, mode=0o600)
    cid = new_id()
    k.pods = [pod(cid)]
    assert start(cid)["container.name"] == "web"


def test_the_next_front_is_told_all_of_it(daemon, start, secure):
    k = secure()
    until_known(start, k)
    first = daemon.front_pid()
    os.kill(first, 9)
    until("the next front", lambda: daemon.front_pid() not in (None, first))
    until_known(start, k)


# ---- what goes wrong ----------------------------------------------------------------------------


def refused(daemon, start, k, why):
    """Nothing is known, the log says why and once, and no trace of the token is anywhere."""
    for _ in range(2):
        assert start(new_id())["container.name"] is None
    until(f"the log to say {why}", lambda: why in said(daemon, k))
    assert said(daemon, k).count(why) == 1
    until("it to be counted", lambda: counted(daemon)["lists_failed"] == counted(daemon)["lists"] == 1)
    for text in (daemon.log(), json.dumps(daemon.status()), daemon.cli("status")):
        assert "secret-of-this-test" not in text and "Bearer" not in text


def test_a_token_that_is_not_taken(world, daemon, start, secure):
    k = secure()
    k.token = "another.one"
    refused(daemon, start, k, "it says 401: it does not take the token")
    world.file("token", text=k.token, mode=0o600)
    until_known(start, k)
    assert "the kubelet tells of its pods" in said(daemon, k)


def test_a_token_without_the_right(daemon, start, secure):
    k = secure()
    k.answer = b"HTTP/1.1 403 Forbidden\r\nContent-Length: 9\r\n\r\nForbidden"
    refused(daemon, start, k, "it says 403: the token's account may not list pods; give it get on nodes/pods")


def test_another_authority(world, daemon, start, kubelet):
    other, own = Authority(world, "other-ca"), Authority(world, "kubelet-ca")
    k = kubelet(other.server(node()), token=TOKEN, ca_cert=str(own.pem))
    refused(daemon, start, k, "is not believed: unable to get local issuer certificate")
    assert not k.asked
    other.pem.replace(own.pem)
    until_known(start, k)


def test_another_name(world, daemon, start, kubelet):
    authority = Authority(world, "kubelet-ca")
    k = kubelet(authority.server(x509.DNSName("another-node")), token=TOKEN, ca_cert=str(authority.pem))
    refused(daemon, start, k, "is not believed: hostname mismatch")
    assert not k.asked


@pytest.mark.parametrize("name", ["the-node", "127.0.0.1"])
def test_the_name_may_be_given(world, start, kubelet, name):
    authority = Authority(world, "kubelet-ca")
    names = x509.IPAddress(ipaddress.ip_address(name)) if name[0].isdigit() else x509.DNSName(name)
    k = kubelet(authority.server(names), token=TOKEN, ca_cert=str(authority.pem), server_name=name)
    until_known(start, k)


@pytest.mark.parametrize("text, why", [(None, "no-token: No such file"), ("two words", "holds no token"), ("", "holds no token"),
                                       ("x\r\nX-Header: y", "holds no token")])
def test_a_file_without_a_token(world, daemon, start, secure, text, why):
    path = world.dir / "no-token"
    path.unlink(missing_ok=True)
    if text is not None:
        world.file("no-token", text=text)
    k = secure(token_file=str(path))
    refused(daemon, start, k, why)
    assert not k.asked


def test_a_file_without_authorities(world, daemon, start, secure):
    k = secure()
    authority = world.dir / "kubelet-ca.pem"
    pem = authority.read_text()
    authority.write_text("nothing")
    refused(daemon, start, k, "holds no certificate")
    assert not k.asked
    authority.write_text(pem)
    until_known(start, k)


def test_nobody_listens(daemon, start, kubelet):
    k = kubelet()
    k.close()
    refused(daemon, start, k, "Connection refused")


def endless():
    yield OK + b'\r\n{"items":['
    for _ in range(40 * 16):
        yield b"{},\n" * 16384


BAD = {
    "no HTTP": (b"\x16\x03\x01 hello\r\n\r\n", "is not HTTP"),
    "cut": (OK + b'Content-Length: 500\r\n\r\n{"items":[{', "it hung up"),
    "no JSON": (OK + b"\r\nhello", "is no list of pods"),
    "another object": (OK + b'\r\n{"kind":"Status"}', "is no list of pods"),
    "nested": (OK + b'\r\n{"items":' + b"[" * 100000, "is no list of pods"),
    "a huge chunk": (OK + b"Transfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n{", "is not HTTP"),
    "an endless head": (OK + b"X: y\r\n" * 50000, "is not HTTP"),
    "endless": (endless, "longer than 32 MiB"),
    "elsewhere": (b"HTTP/1.1 302 Found\r\nLocation: http://192.0.2.1/\r\n\r\n", "it says 302"),
}


@pytest.mark.parametrize("kind", BAD)
def test_a_bad_answer_is_none(daemon, start, kubelet, kind):
    k = kubelet()
    answer, why = BAD[kind]
    k.answer = answer if isinstance(answer, bytes) else answer()
    front = daemon.front_pid()
    refused(daemon, start, k, why)
    assert daemon.front_pid() == front


def test_bad_pods_among_others(daemon, start, kubelet):
    k, cid = kubelet(), new_id()
    items = [b'{"x":"containerd://%s",}' % cid.encode(), b'{"x":"%s"}' % (b"y" * (2 << 20)), b"7", json.dumps(pod(cid)).encode()]
    k.answer = OK + b'\r\n{"items":[' + b",".join(items) + b"]}"
    assert start(cid)["container.name"] == "web"
    until("them to be counted", lambda: counted(daemon)["bad_pods"] == 2)


def test_a_large_node(daemon, start, secure):
    """250 pods of 20 KiB each: a pod at a time is in memory."""
    k, cid = secure(), new_id()
    until_known(start, k)

    def resident():
        with open(f"/proc/{daemon.front_pid()}/statm", encoding="ascii") as f:
            return int(f.read().split()[1]) * 4096

    before = resident()
    k.pods = [pod(new_id(), padding=20000) for _ in range(249)] + [pod(cid, padding=20000)]
    assert start(cid)["container.name"] == "web"
    assert resident() < before + (2 << 20)


def test_a_silent_kubelet(world, daemon, start, kubelet):
    k = kubelet()
    k.delay = 3600
    refused(daemon, start, k, "no answer in time")
