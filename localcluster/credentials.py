"""Keys, certificates and kubeconfigs of one cluster, made with openssl for 30 days."""

from __future__ import annotations

import base64
import secrets
import subprocess
from pathlib import Path

import yaml

DAYS = "30"


def _openssl(*arguments: str, text: str = "") -> str:
    done = subprocess.run(
        ["openssl", *arguments], input=text, capture_output=True, text=True, check=True
    )
    return done.stdout


def is_current(certificate: Path) -> bool:
    """Tell whether a certificate is there and stays valid for another day."""
    command = ["openssl", "x509", "-noout", "-checkend", "86400", "-in", str(certificate)]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


class Authority:
    """A certificate authority in a folder: ca.crt, ca.key and what it signed."""

    def __init__(self, folder: Path, name: str) -> None:
        """Make the authority; an earlier one in the same folder is replaced."""
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.key("ca")
        subject = ["-subj", f"/CN={name}", "-days", DAYS, "-out", str(self.certificate)]
        _openssl("req", "-x509", "-new", "-key", str(folder / "ca.key"), *subject)

    @property
    def certificate(self) -> Path:
        """The authority's own certificate."""
        return self.folder / "ca.crt"

    def key(self, name: str) -> Path:
        """Make the private key `name`.key."""
        path = self.folder / f"{name}.key"
        curve = ["-name", "prime256v1", "-genkey", "-noout", "-out", str(path)]
        _openssl("ecparam", *curve)
        path.chmod(0o600)
        return path

    def sign(self, name: str, *, subject: str, hosts: tuple[str, ...] = ()) -> Path:
        """Make `name`.key and `name`.crt; `hosts` are names such as `DNS:x` or `IP:1.2.3.4`."""
        request = _openssl("req", "-new", "-key", str(self.key(name)), "-subj", subject)
        extensions = self.folder / f"{name}.ext"
        names = f"subjectAltName={','.join(hosts)}\n" if hosts else ""
        extensions.write_text(f"extendedKeyUsage=serverAuth,clientAuth\n{names}")
        certificate = self.folder / f"{name}.crt"
        signer = ["-CA", str(self.certificate), "-CAkey", str(self.folder / "ca.key")]
        target = ["-CAcreateserial", "-extfile", str(extensions), "-out", str(certificate)]
        _openssl("x509", "-req", "-days", DAYS, *signer, *target, text=request)
        return certificate


class Accounts:
    """Users of the API server: a token and a kubeconfig each."""

    def __init__(self, tokens: Path, *, server: str, authority: Path, context: str) -> None:
        """Remember where the API server is and where its list of tokens goes."""
        self.tokens = tokens
        self.server = server
        self.authority = authority
        self.context = context

    def add(self, user: str, group: str, *, kubeconfig: Path) -> None:
        """Add a user to the list of tokens and write its kubeconfig."""
        token = secrets.token_hex(16)
        with _private(self.tokens).open("a") as file:
            file.write(f'{token},{user},{user},"{group}"\n')
        certificate = base64.b64encode(self.authority.read_bytes()).decode()
        name = self.context
        cluster = {"server": self.server, "certificate-authority-data": certificate}
        content = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": name, "cluster": cluster}],
            "users": [{"name": user, "user": {"token": token}}],
            "contexts": [{"name": name, "context": {"cluster": name, "user": user}}],
            "current-context": name,
        }
        _private(kubeconfig).write_text(yaml.safe_dump(content, sort_keys=False))


def _private(path: Path) -> Path:
    path.touch(mode=0o600)
    return path
