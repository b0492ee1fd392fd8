"""Certificates for servers of a test, signed by an authority that nobody else knows."""

import datetime as dt
import ipaddress
from collections.abc import Sequence
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


def make_certificates(folder: Path, addresses: Sequence[str]) -> dict[str, Path]:
    """Make `cert.pem` for some addresses, `key.pem` and `ca.pem`, and return their paths by `cert`, `key` and `ca`."""
    authority, own = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "the authority of a test")])
    names = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(one)) for one in addresses])
    root = _certificate(name, authority, name, authority, x509.BasicConstraints(ca=True, path_length=None))
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "a server of a test")])
    leaf = _certificate(subject, own, name, authority, names)
    key = own.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    contents = {
        "cert": leaf.public_bytes(serialization.Encoding.PEM),
        "key": key,
        "ca": root.public_bytes(serialization.Encoding.PEM),
    }
    paths = {one: folder / f"{one}.pem" for one in contents}
    for one, content in contents.items():
        paths[one].write_bytes(content)
    return paths


def _certificate(
    subject: x509.Name,
    key: ec.EllipticCurvePrivateKey,
    issuer: x509.Name,
    issuer_key: ec.EllipticCurvePrivateKey,
    extension: x509.ExtensionType,
) -> x509.Certificate:
    now = dt.datetime.now(dt.UTC)
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(issuer).public_key(key.public_key())
    builder = builder.serial_number(x509.random_serial_number())
    builder = builder.not_valid_before(now - dt.timedelta(days=1)).not_valid_after(now + dt.timedelta(days=9))
    return builder.add_extension(extension, critical=False).sign(issuer_key, hashes.SHA256())
