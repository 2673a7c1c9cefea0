"""Limits on documents: what is beyond them is refused before anything is done with it, and all else is let through."""

import pytest
from graphql import OverlappingFieldsCanBeMergedRule, is_abstract_type, parse, validate
from hypothesis import given, settings
from hypothesis import strategies as st

from gql.errors import Refused
from gql.execution.documents import Documents
from gql.limits import Limits
from gql.schema import schema
from gql.validation import FieldsCanBeMerged

CANDLE = 'latestCandle(symbol: "A", timeframe: "1m")'
PARSE, VALIDATION = "GRAPHQL_PARSE_FAILED", "GRAPHQL_VALIDATION_FAILED"


def chained(count, spreads):
    """So many fragments, each of which spreads the next so often."""
    fragments = [f"fragment F{n} on Query {{ {f'...F{n + 1} ' * spreads} }}" for n in range(count)]
    return f"{{ ...F0 }} {' '.join(fragments)} fragment F{count} on Query {{ health {{ healthy }} }}"


def nested(levels):
    fragments = [
        f"fragment F{n} on __Type {{ a: ofType {{ ...F{n + 1} }} b: ofType {{ ...F{n + 1} }} }}" for n in range(levels)
    ]
    return f"{{ __schema {{ types {{ ...F0 }} }} }} {' '.join(fragments)} fragment F{levels} on __Type {{ name }}"


def refusal(document, **limits):
    with pytest.raises(Refused) as refused:
        Documents(schema._schema, Limits(**limits)).read(document)
    return [(error.extensions["code"], error.message) for error in refused.value.errors]


BEYOND = [
    pytest.param("{ health { healthy } }" + "#" * 33_000, VALIDATION, "33,022 characters", id="characters"),
    pytest.param("{ " + "x" * 500_000 + " }", VALIDATION, "characters", id="1 MB"),
    pytest.param("{ " + "a " * 2_000 + "}", PARSE, "more than 2000 tokens", id="tokens"),
    pytest.param(f"{{ {CANDLE} {{ {' '.join(f'a{n}: open' for n in range(51))} }} }}", VALIDATION, "51 aliases",
                 id="aliases"),
    pytest.param(f"{{ {' '.join('health { healthy }' for _ in range(31))} }}", VALIDATION, "31 root fields",
                 id="root fields"),
    pytest.param("{ health { healthy " + "@skip(if: false) " * 51 + "} }", VALIDATION, "51 directives",
                 id="directives"),
    pytest.param("{ a" * 17 + " }" * 17, VALIDATION, "17 levels of fields", id="depth"),
    pytest.param("{ a" * 300 + " }" * 300, PARSE, "nested", id="deeper than the parser goes"),
    pytest.param(f"{{ health(a: {'[' * 42}{']' * 42}) {{ healthy }} }}", VALIDATION, "40 levels deep",
                 id="lists in lists"),
    pytest.param(f"{{ health(a: {'{a: ' * 42}1{'}' * 42}) {{ healthy }} }}", VALIDATION, "40 levels deep",
                 id="objects in objects"),
    pytest.param(f"query ($a: Int = {'[' * 42}{']' * 42}) {{ health {{ healthy }} }}", VALIDATION, "40 levels deep",
                 id="a default of lists in lists"),
    pytest.param("{ ...A } fragment A on Query { ...B } fragment B on Query { ...A }", VALIDATION, "within itself",
                 id="fragments in a circle"),
    pytest.param("{ ...A } fragment A on Query { ...A }", VALIDATION, "within itself", id="a fragment in itself"),
    pytest.param(chained(30, 2), VALIDATION, "over a million fields", id="fragments that double 30 times"),
    pytest.param(nested(30), VALIDATION, "over a million aliases", id="fields and fragments that double 30 times"),
    pytest.param(" ".join(f"query Q{n} {{ ...F0 }}" for n in range(60)) + chained(60, 1)[10:], VALIDATION,
                 "fields and spreads", id="fragments in many operations"),
]  # fmt: skip


@pytest.mark.parametrize(("document", "code", "told"), BEYOND)
def test_a_document_beyond_a_limit_is_refused_and_told_which(document, code, told):
    errors = refusal(document)

    assert {given for given, _ in errors} == {code}
    assert any(told in message for _, message in errors), errors


@pytest.mark.parametrize(
    "document",
    [
        pytest.param(f"{{ {CANDLE} {{ {' '.join(f'a{n}: open' for n in range(50))} }} }}", id="50 aliases"),
        pytest.param(f"{{ {' '.join('health { healthy }' for _ in range(30))} }}", id="30 root fields"),
        pytest.param(f"{{ {CANDLE} {{ {'open ' * 990} }} }}", id="990 times the same field"),
        pytest.param(chained(9, 1), id="fragments in fragments"),
        pytest.param(" ".join(f"query Q{n} {{ health {{ healthy }} }}" for n in range(200)), id="200 operations"),
    ],
)
def test_a_document_within_all_limits_is_read(document):
    assert Documents(schema._schema, Limits()).read(document)


def test_every_limit_is_a_setting():
    document = f"{{ a: {CANDLE} {{ open @skip(if: false) }} b: health {{ healthy }} }}"

    assert Documents(schema._schema, Limits()).read(document)
    for limit, most in {
        "characters": 50, "tokens": 10, "depth": 1, "aliases": 1, "root_fields": 1, "directives": 0,
    }.items():  # fmt: skip
        assert refusal(document, **{limit: most}), limit


def test_without_introspection_the_schema_is_not_told_by_suggestions_either():
    hidden = {"introspection": False}
    suggested = "{ helth { healthy } }"

    assert "Did you mean" in refusal(suggested)[0][1]
    assert "Did you mean" not in refusal(suggested, **hidden)[0][1]
    literal = "{ bots(status: ACTIV) { totalCount } }"
    assert "Did you mean" in refusal(literal)[0][1]
    assert "Did you mean" not in refusal(literal, **hidden)[0][1]
    for document in (
        "{ __schema { types { name } } }",
        '{ ...A } fragment A on Query { __type(name: "Bot") { name } }',
    ):
        [(code, message)] = refusal(document, **hidden)
        assert (code, "switched off" in message) == (VALIDATION, True)
    assert Documents(schema._schema, Limits(**hidden)).read("{ __typename health { __typename } }")


FIELDS = st.sampled_from(["open", "close", "a: open", "a: close", "open: high", "__typename"])
SETS = st.lists(FIELDS, min_size=1, max_size=4).map(" ".join)
ROOTS = st.sampled_from(["latestCandle", "a: latestCandle"]).flatmap(
    lambda name: st.tuples(
        st.sampled_from(
            ['symbol: "A", timeframe: "1m"', 'timeframe: "1m", symbol: "A"', 'symbol: "B", timeframe: "1m"']
        ),
        st.lists(SETS | SETS.map("... {{ {} }}".format) | st.just("...F"), min_size=1, max_size=3).map(" ".join),
    ).map(lambda parts: f"{name}({parts[0]}) {{ {parts[1]} }}")
)


@settings(max_examples=300, deadline=None, database=None)
@given(st.lists(ROOTS, min_size=1, max_size=3).map(" ".join), SETS)
def test_fields_conflict_as_the_specification_says(roots, fragment):
    document = parse(f"{{ {roots} }} fragment F on Candle {{ {fragment} }}")

    ours = validate(schema._schema, document, [FieldsCanBeMerged])
    theirs = validate(schema._schema, document, [OverlappingFieldsCanBeMergedRule])

    # Theirs looks at a fragment alone, too.
    used = "...F" in roots
    assert bool(ours) == bool(theirs) or (not used and not ours)


def test_the_schema_has_no_abstract_types_which_our_rule_of_conflicts_relies_on():
    assert [name for name, kind in schema._schema.type_map.items() if is_abstract_type(kind)] == []
