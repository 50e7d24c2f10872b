"""What the tests of the collector share."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest

from ..lacking import lacking
from .running import Collector


@pytest.fixture
def collector(tmp_path: Path) -> Iterator[Collector]:
    """The collector with its default configuration, running."""
    with Collector(tmp_path / "collector") as running:
        yield running


@pytest.fixture
def small_volume(tmp_path: Path) -> Iterator[Path]:
    """A file system of 4 MB. Only root may mount one; for others the test is skipped."""
    if os.geteuid() != 0:
        lacking("volume", "only root can mount a small volume")
    volume = tmp_path / "volume"
    volume.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=4m,mode=0750", "authaudit", str(volume)]
    done = subprocess.run(mount, capture_output=True, text=True, check=False)
    if done.returncode:
        lacking("volume", f"no small volume can be mounted here: {done.stderr}")
    yield volume
    subprocess.run(["umount", "--lazy", str(volume)], check=True)


def post(url: str, request: ExportLogsServiceRequest) -> int:
    """The status with which *url* answers *request*."""
    headers = {"Content-Type": "application/x-protobuf"}
    return httpx.post(url, content=request.SerializeToString(), headers=headers, timeout=30).status_code


def fill(descriptor: int) -> None:
    """Write zeros until nothing more fits on the volume."""
    size = 65536
    while size:
        try:
            os.write(descriptor, bytes(size))
        except OSError:
            size //= 2
