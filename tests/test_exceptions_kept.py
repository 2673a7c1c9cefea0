"""No exception is kept and raised twice: each raise would hang its frames on it, for ever."""

import gc

import pytest
from graphql import OperationDefinitionNode, parse

from gql.execution.documents import Chosen
from gql.execution.operation import NotCompiled
from gql.execution.projection import projection
from gql.execution.stored import printer
from gql.schema import schema

MUTATION = 'mutation { recordHeartbeat(botId: "1") { bot { id } } }'


def test_an_operation_that_is_not_compiled_leaves_no_frames_behind_however_often_it_is_asked_for():
    document = parse(MUTATION)
    [node] = document.definitions
    assert isinstance(node, OperationDefinitionNode)
    chosen = Chosen(schema._schema, document, node)

    raised = set()
    for _ in range(100):
        with pytest.raises(NotCompiled, match="not a query") as caught:
            chosen.compiled()
        depth, trace = 0, caught.value.__traceback__
        while trace is not None:
            depth, trace = depth + 1, trace.tb_next
        raised.add(depth)
        del caught, trace

    assert raised == {2}
    gc.collect()
    assert [kept for kept in gc.get_objects() if isinstance(kept, NotCompiled)] == []


@pytest.mark.parametrize("made", [projection, printer])
def test_only_identifiers_come_into_generated_code_as_response_names(made):
    with pytest.raises(ValueError, match="is no name"):
        made(("object", "Candle", (("a'+b", None, ("leaf", None)),)))
