# SPDX-License-Identifier: Apache-2.0
"""An authority that vouches for servers by name."""

import datetime
import ssl

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID


class Authority:
    """Vouches for servers by name."""

    def __init__(self, world, name):
        self.world = world
        self.key, self.name = ec.generate_private_key(ec.SECP256R1()), x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self.pem = world.file(f"{name}.pem", text=self.sign(self.key.public_key(), ca=True).public_bytes(Encoding.PEM).decode())

    def sign(self, public, *names, ca=False):
        now = datetime.datetime.now(datetime.timezone.utc)
        builder = (x509.CertificateBuilder().issuer_name(self.name).public_key(public)
                   .subject_name(self.name if ca else x509.Name([])).serial_number(x509.random_serial_number())
                   .not_valid_before(now - datetime.timedelta(hours=1)).not_valid_after(now + datetime.timedelta(hours=1))
                   .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True))
        if names:
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=True)
        return builder.sign(self.key, hashes.SHA256())

    def certify(self, *names):
        """A certificate for these names, and its key: two texts."""
        key = ec.generate_private_key(ec.SECP256R1())
        cert = self.sign(key.public_key(), *names).public_bytes(Encoding.PEM)
        return cert.decode(), key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()

    def server(self, *names):
        """The context of a server with a certificate for these names."""
        return context(self.world.file("server.pem", text="".join(self.certify(*names))))


def context(pem, key=None):
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.load_cert_chain(pem, key)
    return made
