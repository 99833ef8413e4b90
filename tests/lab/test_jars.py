"""Kafka's jars: what is on disk is checked, not believed."""

from pathlib import Path

import pytest

from lab.parts import jars


def test_every_listed_jar_has_coordinates_and_a_checksum() -> None:
    listed = jars.listed(jars.LIST.read_text())
    assert len(listed) == 46
    assert all(len(jar.sha256) == 64 and jar.coordinates.count(":") == 2 for jar in listed)
    assert f"kafka_2.13-{jars.KAFKA_VERSION}.jar" in {jar.file_name for jar in listed}


@pytest.mark.real
def test_a_damaged_jar_is_fetched_again(tmp_path: Path) -> None:
    good = {path.name: path for path in jars.fetch()}
    for name, path in good.items():
        (tmp_path / name).symlink_to(path)
    damaged = tmp_path / "jspecify-1.0.0.jar"
    damaged.unlink()
    damaged.write_bytes(b"half a jar")
    jars.fetch(tmp_path)
    assert damaged.read_bytes() == good[damaged.name].read_bytes()
