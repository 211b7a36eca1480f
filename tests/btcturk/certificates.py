"""Certificates that a client must refuse, made with openssl: self-signed, expired, of elsewhere."""

import ssl
import subprocess
from pathlib import Path
from typing import Any

CONFIG = """
[ca]
default_ca = own
[own]
dir = {folder}
new_certs_dir = {folder}
database = {folder}/index.txt
serial = {folder}/serial
policy = any
default_md = sha256
x509_extensions = alt
[any]
commonName = supplied
[alt]
subjectAltName = {name}
basicConstraints = CA:TRUE
[req]
distinguished_name = dn
[dn]
"""
DAYS = {
    "now": ("20200101000000Z", "20491231000000Z"),
    "over": ("20200101000000Z", "20210101000000Z"),
}


def make(folder: Path, *, name: str = "IP:127.0.0.1", valid: str = "now") -> tuple[Path, Path]:
    """Return (certificate, key) for `name`; whoever trusts the certificate trusts its server."""
    folder.mkdir()
    (folder / "ca.cnf").write_text(CONFIG.format(folder=folder, name=name))
    (folder / "index.txt").touch()
    (folder / "serial").write_text("01\n")
    config, key = str(folder / "ca.cnf"), str(folder / "key.pem")
    certificate, request = str(folder / "certificate.pem"), str(folder / "request.pem")
    begins, ends = DAYS[valid]
    for command in (
        ["req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj",
         "/CN=exchange", "-keyout", key, "-out", request, "-config", config],
        ["ca", "-selfsign", "-batch", "-notext", "-config", config, "-in", request, "-keyfile", key,
         "-startdate", begins, "-enddate", ends, "-out", certificate],
    ):  # fmt: skip
        subprocess.run(["openssl", *command], check=True, capture_output=True)
    return Path(certificate), Path(key)


def server_side(pair: tuple[Path, Path], *protocols: str) -> Any:
    """Return the server's context; it offers `protocols` by ALPN."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(*pair)
    if protocols:
        context.set_alpn_protocols(list(protocols))
    return context
