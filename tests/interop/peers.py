# SPDX-License-Identifier: Apache-2.0
"""For tests of the data path against TLS that nobody here wrote: one scene, and SVIDs in files.

    frontend (place "client") -- Tipstaff --+
                                            +-- place "peer": openssl, Envoy, plain programs; no daemon sees it
    backend  (place "server") -- Tipstaff --+

frontend may dial the peer, which has to be backend; and frontend may dial backend, also a frontend that lives at the peer.
"""

import datetime
import json
import os
import re

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_der_private_key
from cryptography.x509.oid import NameOID

from conftest import UID, entry, spiffe
from world import until

SERVER_PORT = 8443
PEER_PORTS = range(9000, 9010)
CLOSED_PORT = 9009


class Scene:
    def __init__(self, world):
        self.world = world
        self.at = {place: world.place(place) for place in ("client", "server", "peer")}
        clients, servers = [spiffe("frontend")], [spiffe("backend")]
        self.daemon = world.daemon(entries=[entry(world, "frontend"), entry(world, "backend")], traffic=[
            {"name": "backend", "to": [{"cidr": f"{self.at['server']}/32", "port": SERVER_PORT}],
             "server": servers, "clients": clients},
            {"name": "peer", "server": servers, "clients": clients, "to": [
                {"cidr": f"{self.at['peer']}/32", "port": f"{PEER_PORTS[0]}-{PEER_PORTS[-1]}"}]}])
        self.daemon.start()
        # A process that stays keeps its namespace served from one test to the next.
        self.holder = self.talk("serve", self.at["client"], 7000, "mirror", who="frontend", place="client")
        self.app = self.talk("serve", self.at["server"], SERVER_PORT, "mirror", who="backend", place="server")
        until("the client's namespace to be served",
              lambda: self.dial(port=CLOSED_PORT)[0]["errno"] == "ECONNREFUSED", 10.0)
        until("a connection through Tipstaff",
              lambda: self.dial("echo", 1, to="server", port=SERVER_PORT)[-1]["errno"] == "ok", 10.0)
        self.svids = {name: self.fetch(name) for name in ("frontend", "backend")}
        self.authority = Authority.of(self.daemon)
        self.issued = 0

    # ---- programs -----------------------------------------------------------------

    def talk(self, *args, who, place):
        """An application of the scene: tests/attacks/talk.c. `serve` is running when this returns."""
        p = self.world.spawn([self.world.program("talk"), *args], cgroup=who, place=place, uid=UID[who])
        if "serve" in args:
            assert p.json()["listening"], p.text()
        return p

    def dial(self, *steps, to="peer", port=PEER_PORTS[0]):
        """frontend connects and takes the steps; the answers, that of connect() first."""
        p = self.talk("dial", self.at[to], port, *steps, who="frontend", place="client")
        p.wait(20)
        answers = [json.loads(line) for line in p.output if line.startswith("{")]
        assert answers, p.text()
        return answers

    def stranger(self, argv, ready=None, stdin=None):
        """A program at the peer, which no daemon sees; `ready` is what it says when it can be used."""
        p = self.world.spawn(argv, scope="outside", cgroup="peer", place="peer", stdin=stdin)
        if ready:
            until(f"{argv[0]} to say {ready}", lambda: ready in p.text())
        return p

    def accepted(self):
        """How many connections the server's application has seen."""
        return sum('"accepted"' in line for line in self.app.said())

    def refusal(self, cause, direction, since):
        """Waits for the alert about a refused connection with that cause; its fields."""
        alert = self.daemon.wait_alert(
            lambda a: a["rule"] == "mTLS connection refused"
            and (a["output_fields"].get("tipstaff.cause"), a["output_fields"].get("tipstaff.direction")) == (cause, direction),
            since=since)
        return alert["output_fields"]

    # ---- SVIDs in files -------------------------------------------------------------

    def fetch(self, name):
        """A folder with the SVID of one of the applications, written by the CLI."""
        folder = self.world.dir / f"svid-{name}"
        folder.mkdir()
        os.chown(folder, UID[name], UID[name])
        cli = self.world.file("tipstaff", self.world.build / "tipstaff")
        p = self.world.spawn([cli, "--workload-socket", self.daemon.workload_socket, "svid", "fetch", "--write", folder],
                             cgroup=name, uid=UID[name])
        assert p.wait(20) == 0, p.text()
        return folder

    def issue(self, *uris, authority=None, **how):
        """A folder like one of fetch(), with a certificate that is as bad as asked for. The bundle is the good one."""
        folder = self.world.dir / f"issued-{self.issued}"
        folder.mkdir()
        self.issued += 1
        cert, key = (authority or self.authority).issue(uris, **how)
        (folder / "svid.0.pem").write_bytes(cert)
        (folder / "svid.0.key").write_bytes(key)
        (folder / "bundle.0.pem").write_bytes((self.svids["frontend"] / "bundle.0.pem").read_bytes())
        return folder


class Authority:
    """Signs whatever it is asked to."""

    def __init__(self, cert, key):
        self.cert, self.key = cert, key

    @classmethod
    def new(cls, domain):
        """One that nobody trusts."""
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, domain)])
        now = datetime.datetime.now(datetime.timezone.utc)
        cert = (x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
                .serial_number(x509.random_serial_number())
                .not_valid_before(now - datetime.timedelta(hours=2)).not_valid_after(now + datetime.timedelta(hours=2))
                .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
                .add_extension(usage("key_cert_sign", "crl_sign"), critical=True)
                .sign(key, hashes.SHA256()))
        return cls(cert, key)

    @classmethod
    def of(cls, daemon):
        """The daemon's own, out of its cache: with it a certificate fails for what is wrong in it and for nothing else."""
        record = next(p for p in daemon.state_dir.rglob("authority*") if p.is_file()).read_bytes()
        certs, keys = [], []
        # Both are DER with a two-byte or one-byte length, somewhere in the record.
        for at in (m.start() for m in re.finditer(rb"\x30[\x81\x82]", record)):
            size = 3 + record[at + 2] if record[at + 1] == 0x81 else 4 + int.from_bytes(record[at + 2:at + 4], "big")
            for found, load in ((certs, x509.load_der_x509_certificate), (keys, lambda der: load_der_private_key(der, None))):
                try:
                    found.append(load(record[at:at + size]))
                except ValueError:
                    pass
        return next(cls(c, k) for c in certs for k in keys if c.public_key() == k.public_key())

    def issue(self, uris, *, ca=False, usages=("digital_signature",), begins=-60, ends=3600):
        """PEM of a certificate, from `begins` to `ends` seconds from now, and of its key."""
        key = ec.generate_private_key(ec.SECP256R1())
        now = datetime.datetime.now(datetime.timezone.utc)
        builder = (x509.CertificateBuilder().issuer_name(self.cert.subject).public_key(key.public_key())
                   .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "bad")]))
                   .serial_number(x509.random_serial_number())
                   .not_valid_before(now + datetime.timedelta(seconds=begins))
                   .not_valid_after(now + datetime.timedelta(seconds=ends))
                   .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
                   .add_extension(usage(*usages), critical=True))
        if uris:
            names = [x509.UniformResourceIdentifier(uri) for uri in uris]
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        return (builder.sign(self.key, hashes.SHA256()).public_bytes(Encoding.PEM),
                key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))


def usage(*bits):
    every = ("digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement",
             "key_cert_sign", "crl_sign", "encipher_only", "decipher_only")
    return x509.KeyUsage(**{bit: bit in bits for bit in every})


# What nobody may get in with, as client and as server: the cause that the alert has to name, and how to make it.
BAD = {
    "untrusted": lambda s, uri: s.issue(uri, authority=Authority.new("example.org")),
    "trust-domain": lambda s, uri: s.issue("spiffe://elsewhere.org/x", authority=Authority.new("elsewhere.org")),
    "expired": lambda s, uri: s.issue(uri, begins=-3600, ends=-60),
    "not-yet-valid": lambda s, uri: s.issue(uri, begins=3600, ends=7200),
    "several-uris": lambda s, uri: s.issue(uri, uri + "/too"),
    "no-uri": lambda s, uri: s.issue(),
    "bad-id": lambda s, uri: s.issue("https://example.org/frontend"),
    "leaf-is-ca": lambda s, uri: s.issue(uri, ca=True, usages=("digital_signature", "key_cert_sign")),
    "leaf-usage": lambda s, uri: s.issue(uri, usages=("digital_signature", "crl_sign")),
}
