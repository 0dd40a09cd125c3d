"""How pip's settings of the machine reach an image build."""

from pathlib import Path

import pytest

from localcluster.pip_settings import BUNDLE, build_volumes, pip_configuration


def test_variables_win_over_files_and_later_files_over_earlier(tmp_path: Path) -> None:
    weak, strong = tmp_path / "weak", tmp_path / "strong"
    weak.write_text("[global]\ntimeout = 1\nretries = 1\nindex-url = https://weak.example\n")
    strong.write_text("[global]\nretries = 2\nindex-url = https://strong.example\n")
    found = pip_configuration({"PIP_INDEX_URL": "https://env.example"}, [weak, strong])
    assert found | {"cert": ""} == {
        "timeout": "1",
        "retries": "2",
        "index-url": "https://env.example",
        "cert": "",
    }


def test_a_certificate_variable_becomes_pips_certificate() -> None:
    assert pip_configuration({"SSL_CERT_FILE": "/x/ca.pem"}, [])["cert"] == "/x/ca.pem"
    named = {"SSL_CERT_FILE": "/x/ca.pem", "PIP_CERT": "/y/ca.pem"}
    assert pip_configuration(named, [])["cert"] == "/y/ca.pem"


def test_a_percent_sign_in_an_address_stays_as_it_is(tmp_path: Path) -> None:
    file = tmp_path / "pip.conf"
    file.write_text("[global]\nindex-url = https://user:p%40ss@example.com/simple\n")
    assert pip_configuration({}, [file])["index-url"] == "https://user:p%40ss@example.com/simple"


def test_local_paths_that_settings_name_are_mounted_for_the_build(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    monkeypatch.setenv("PIP_FIND_LINKS", f"{wheels} /nowhere/at/all")
    monkeypatch.setenv("PIP_CERT", str(BUNDLE))
    volumes = build_volumes(tmp_path)
    assert f"--volume={wheels}:{wheels}:ro" in volumes
    assert not [volume for volume in volumes if "/nowhere" in volume]


def test_the_written_settings_are_private_and_readable_by_pip(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", "https://user:p%40ss@example.com/simple")
    build_volumes(tmp_path)
    written = tmp_path / "pip.conf"
    assert "index-url = https://user:p%40ss@example.com/simple" in written.read_text()
    assert written.stat().st_mode & 0o077 == 0
