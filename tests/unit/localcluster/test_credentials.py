"""When a certificate has to be made again."""

import subprocess
from pathlib import Path

import pytest

from localcluster import credentials
from localcluster.credentials import Authority, is_current


def made(folder: Path) -> Path:
    return Authority(folder, "ca").sign("server", subject="/CN=server")


def test_a_new_certificate_is_current(tmp_path: Path) -> None:
    assert is_current(made(tmp_path))


def test_one_that_expires_within_a_day_or_is_missing_or_cut_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert not is_current(tmp_path / "none.crt")
    monkeypatch.setattr(credentials, "DAYS", "1")
    short = made(tmp_path)
    subprocess.run(["openssl", "x509", "-noout", "-in", str(short)], check=True)
    assert not is_current(short)
    short.write_text("-----BEGIN CERTIFICATE-----\nMII")
    assert not is_current(short)
