"""The operations that GraphiQL opens with."""

import json
from pathlib import Path

from graphql import build_schema, parse, validate

ROOT = Path(__file__).parent.parent
FOLDER = ROOT / "web" / "src" / "graphiql"
SCHEMA = build_schema((ROOT / "schema.graphql").read_text())
DOCUMENT = parse((FOLDER / "examples.graphql").read_text())
VARIABLES = json.loads((FOLDER / "variables.json").read_text())


def test_every_field_of_the_three_roots_has_one_example_that_is_valid():
    shown = [
        (one.operation.value, field.name.value)
        for one in DOCUMENT.definitions
        for field in one.selection_set.selections
    ]
    roots = [SCHEMA.query_type, SCHEMA.mutation_type, SCHEMA.subscription_type]

    assert validate(SCHEMA, DOCUMENT) == []
    assert sorted(shown) == sorted((root.name.lower(), name) for root in roots for name in root.fields)


def test_every_variable_has_a_value_and_every_value_a_use():
    used = {
        one.variable.name.value for definition in DOCUMENT.definitions for one in definition.variable_definitions or ()
    }

    assert used == VARIABLES.keys()
