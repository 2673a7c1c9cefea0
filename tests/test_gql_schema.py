"""The schema against the contract, and against its printed form."""

from pathlib import Path

import pytest
from graphql import build_schema, find_breaking_changes, find_dangerous_changes

from gql.schema import print_schema, schema

ROOT = Path(__file__).parent.parent
CONTRACT = ROOT.parent / "shared" / "contract.graphql"


@pytest.mark.skipif(not CONTRACT.exists(), reason="the contract is not here")
def test_the_schema_keeps_the_contract():
    contract, ours = build_schema(CONTRACT.read_text()), build_schema(print_schema())

    assert find_breaking_changes(contract, ours) == []
    # What the contract of the trust part asks for: no silence, and an argument beside the deprecated botId.
    assert [change.description for change in find_dangerous_changes(contract, ours)] == [
        "An optional argument Mutation.recordHeartbeat(id:) was added.",
        "Enum value CandleEventKind.DELETED was added.",
        "Enum value CandleEventKind.NOT_COLLECTED was added.",
    ]


def test_the_committed_schema_is_the_printed_one():
    printed = print_schema()

    assert (ROOT / "schema.graphql").read_text() == printed
    assert printed.endswith("\n")
    assert not printed.endswith("\n\n")


def test_no_optional_argument_defaults_to_null():
    assert "= null" not in print_schema()


def test_everything_carries_a_description():
    introspection = schema.introspect()
    standard = {"String", "Int", "Float", "Boolean", "ID"}
    bare = []

    for kind in introspection["__schema"]["types"]:
        name = kind["name"]
        if name.startswith("__") or name in standard:
            continue
        parts = [(name, kind)]
        for field in kind["fields"] or []:
            parts.append((f"{name}.{field['name']}", field))
            parts += [(f"{name}.{field['name']}({a['name']})", a) for a in field["args"]]
        parts += [(f"{name}.{field['name']}", field) for field in kind["inputFields"] or []]
        parts += [(f"{name}.{value['name']}", value) for value in kind["enumValues"] or []]
        bare += [place for place, part in parts if not part["description"]]

    assert bare == []
