"""Certificates for tests, made as docs/etcd.md says."""

from __future__ import annotations

import subprocess
from pathlib import Path

_NEW = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj", "/O=hacore")
_LONG = ("-days", "3650")


def make_authority(directory: Path) -> None:
    """ca.pem and ca.key."""
    _openssl(directory, "req", "-x509", *_NEW, *_LONG, "-keyout", "ca.key", "-out", "ca.pem")


def make_certificate(directory: Path, name: str, address: str) -> None:
    """NAME.pem and NAME.key: for a member at ``address``, and for whoever asks one. Without a common name."""
    extensions = f"subjectAltName=IP:{address}\nextendedKeyUsage=serverAuth,clientAuth\n"
    (directory / f"{name}.ext").write_text(extensions)
    _openssl(directory, "req", *_NEW, "-keyout", f"{name}.key", "-out", f"{name}.csr")
    signed = ("-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-extfile", f"{name}.ext")
    _openssl(directory, "x509", "-req", "-in", f"{name}.csr", *signed, *_LONG, "-out", f"{name}.pem")


def _openssl(directory: Path, *words: str) -> None:
    subprocess.run(["openssl", *words], cwd=directory, check=True, capture_output=True)
