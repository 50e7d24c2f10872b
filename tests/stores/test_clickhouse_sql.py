"""What of the filters ClickHouse is asked."""

from __future__ import annotations

from functools import partial

import pytest

from opentelemetry_instrumentation_authaudit.privacy.pseudonyms import Key, Keyring
from opentelemetry_instrumentation_authaudit.query.filters import Filters
from opentelemetry_instrumentation_authaudit.stores.clickhouse.questions import Question
from opentelemetry_instrumentation_authaudit.stores.clickhouse.schema import DERIVED, column_of

KEYS = Keyring((Key("k", b"secret"),))
OURS = partial(column_of, columns=DERIVED)
EXPORTERS = partial(column_of, columns=())


@pytest.mark.parametrize(
    ("filters", "where", "parameters"),
    [
        (Filters(), "", []),
        (Filters(subject=("a", "b'")), "(Subject IN ({p0:String}, {p1:String}))", ["a", "b'"]),
        (
            Filters(status=("failure",), tenant=("t",)),
            "(Outcome IN ({p0:String}))\n  AND (Tenant IN ({p1:String}))",
            ["failure", "t"],
        ),
        (Filters(strategy=("github",)), "(Strategy IN ({p0:String}) OR Provider IN ({p0:String}))", ["github"]),
        (Filters(action=("a_*", "x")), "(Action LIKE {p0:String} OR Action LIKE {p1:String})", ["a\\_%", "x"]),
        (Filters(event=("{f}.100%",)), "(EventName LIKE {p0:String})", ["%.100\\%"]),
        (Filters(without=("audit.checkpoint",)), "NOT (EventName IN ({p0:String}))", ["audit.checkpoint"]),
        (Filters(service=("shop",)), "(ServiceName IN ({p0:String}))", ["shop"]),
        (
            Filters(since=5, until=1 << 70),
            "Timestamp >= fromUnixTimestamp64Nano({p0:Int64}, 'UTC')\n  AND Timestamp <= fromUnixTimestamp64Nano({p1:Int64}, 'UTC')",
            [5, (1 << 63) - 1],
        ),
        (
            Filters(identity=("Ann@X", "Ärger")),
            "(position(lower(Identity), {p0:String}) > 0 OR length(Identity) != lengthUTF8(Identity))",
            ["ann@x"],
        ),
    ],
)
def test_the_question_is_this(filters: Filters, where: str, parameters: list[str | int]) -> None:
    """Every value is a parameter, and the text has none."""
    question = Question(filters, OURS)
    assert question.where == "RecordId != ''" + (f"\n  AND {where}" if where else "")
    assert list(question.parameters.values()) == parameters


def test_hashes_are_asked_for_beside_what_is_clear() -> None:
    """Where identities and addresses are stored as keyed hashes, ClickHouse is asked for the hashes; it learns no key."""
    question = Question(Filters(identity=("ann",), ip=("192.0.2.7",), keys=KEYS), OURS)
    assert "Identity IN ({p1:String})" in question.where
    assert "ClientIp IN ({p2:String}, {p3:String})" in question.where
    assert "IPv4StringToNumOrDefault(ClientIp) BETWEEN {p4:UInt32} AND {p5:UInt32}" in question.where
    assert "PeerIp IN" in question.where
    assert str(question.parameters["p1"]).startswith("hashed:k:")
    assert question.parameters["p4"] == question.parameters["p5"] == (192 << 24) + (2 << 8) + 7


def test_an_ipv6_network_is_looked_for_by_us() -> None:
    """It has too many spellings for a comparison of texts: what is not dotted comes back and is looked at here."""
    question = Question(Filters(ip=("2001:db8::/32",)), OURS)
    assert "BETWEEN" not in question.where
    assert "NOT match(ClientIp" in question.where


def test_the_exporters_own_table_can_be_asked_too() -> None:
    """Without our columns the map of attributes is asked."""
    assert Question(Filters(subject=("a",)), EXPORTERS).where == (
        "LogAttributes['audit.record.id'] != ''\n  AND (LogAttributes['user.id'] IN ({p0:String}))"
    )
