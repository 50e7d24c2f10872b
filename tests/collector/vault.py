"""The production collector with all it asks for: certificates, tokens, a store; and who may write to it."""

from __future__ import annotations

import shutil
import ssl
from pathlib import Path

import httpx

from tests.pipeline import certificates
from tests.stores.victorialogs_server import VictoriaLogs

from .running import Collector

__all__ = ("LogStore", "Vault")


class LogStore(VictoriaLogs):
    """VictoriaLogs on one machine, as `collector/victorialogs/run.sh` starts it, with its data in *folder*."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, "single")

    @property
    def store(self) -> str:
        """Its URL for `--store`."""
        return f"victorialogs://127.0.0.1:{self.port}"

    def __enter__(self) -> LogStore:
        self.start()
        return self


class Vault(Collector):
    """The collector with the configuration for production; its writers have a certificate and the token `first`."""

    def __init__(self, folder: Path, *overlays: str, store: str = "http://127.0.0.1:9", **environ: str) -> None:
        folder.mkdir(exist_ok=True)
        self.tls, self.tokens = folder / "tls", folder / "tokens"
        self.tls.mkdir()
        certificates.make(self.tls)
        for source, name in (("server.pem", "server.crt"), ("ca.pem", "clients-ca.crt")):
            shutil.copy(self.tls / source, self.tls / name)
        self.tokens.write_text("first\n", encoding="utf-8")
        super().__init__(
            folder,
            "production",
            *overlays,
            AUTHAUDIT_TLS_DIR=str(self.tls),
            AUTHAUDIT_INGEST_TOKEN_FILE=str(self.tokens),
            AUTHAUDIT_VICTORIALOGS_URL=store,
            **{"AUTHAUDIT_VICTORIALOGS_TOKEN_FILE": str(self.tokens), **environ},
        )

    def __enter__(self) -> Vault:
        self.start()
        return self

    def client(self, protocol: str = "http/protobuf", *, token: str = "first", certificate: str = "client") -> dict[str, str]:
        """The variables of a writer with *token* and *certificate*; an empty one: it has none."""
        url = self.grpc if protocol == "grpc" else f"{self.http}/v1/audit"
        environ = {
            "OTEL_EXPORTER_OTLP_LOGS_ENDPOINT": url,
            "OTEL_EXPORTER_OTLP_PROTOCOL": protocol,
            "OTEL_EXPORTER_OTLP_CERTIFICATE": str(self.tls / "ca.pem"),
        }
        if token:
            environ["OTEL_EXPORTER_OTLP_LOGS_HEADERS"] = f"authorization=Bearer%20{token}"
        if certificate:
            environ["OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE"] = str(self.tls / f"{certificate}.pem")
            environ["OTEL_EXPORTER_OTLP_CLIENT_KEY"] = str(self.tls / f"{certificate}.key")
        return environ

    def writer(self, *, token: str = "first", certificate: str = "client") -> httpx.Client:
        """A client that puts its requests together by hand."""
        context = ssl.create_default_context(cafile=str(self.tls / "ca.pem"))
        if certificate:
            context.load_cert_chain(self.tls / f"{certificate}.pem", self.tls / f"{certificate}.key")
        headers = {"Content-Type": "application/x-protobuf"} | ({"Authorization": f"Bearer {token}"} if token else {})
        return httpx.Client(base_url=self.http, verify=context, headers=headers, timeout=30)
