"""What we lean on of libraries although they do not call it public: an upgrade that changes it fails in one line."""

import asyncio
import inspect

import httptools
import pytest
import sqlalchemy as sa
from graphql import Lexer, ParallelVisitor, Source, Token, TypeInfo, TypeInfoVisitor, parse
from graphql import Visitor as GraphQLVisitor
from graphql.execution import Executor
from graphql.execution.collect_fields import FieldDetails, collect_fields
from graphql.execution.get_variable_signature import get_variable_signature
from graphql.execution.values import coerce_argument
from graphql.language.parser import Parser, nested_too_deeply_error
from graphql.utilities.coerce_input_value import coerce_default_value, coerce_input_value
from graphql.utilities.sort_value_node import sort_value_node
from graphql.utilities.validate_input_value import validate_input_literal
from graphql.validation import KnownDirectivesRule, ValidationRule, ValuesOfCorrectTypeRule
from sqlalchemy.dialects.postgresql import asyncpg
from starlette.responses import StreamingResponse
from strawberry import Info
from strawberry.http.streaming import merge_stream_with_heartbeat
from strawberry.schema.schema import StrawberryGraphQLCoreExecutionContext
from uvicorn import Config
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from uvicorn.server import ServerState
from websockets.asyncio.connection import Connection
from websockets.asyncio.messages import Assembler
from websockets.frames import DATA_OPCODES, Frame
from websockets.server import ServerProtocol

from gql.schema import schema
from gql.types import Market

CALLED = [
    (HttpToolsProtocol, "__init__", "config server_state app_state _loop"),
    (HttpToolsProtocol, "connection_made", "transport"),
    (HttpToolsProtocol, "connection_lost", "exc"),
    (HttpToolsProtocol, "data_received", "data"),
    (HttpToolsProtocol, "on_message_begin", ""),
    (HttpToolsProtocol, "on_url", "url"),
    (HttpToolsProtocol, "on_header", "name value"),
    (HttpToolsProtocol, "on_headers_complete", ""),
    (HttpToolsProtocol, "on_body", "body"),
    (HttpToolsProtocol, "on_message_complete", ""),
    (HttpToolsProtocol, "on_response_complete", ""),
    (HttpToolsProtocol, "send_400_response", "msg"),
    (HttpToolsProtocol, "handle_websocket_upgrade", ""),
    (HttpToolsProtocol, "_start_asgi_task", "cycle app"),
    (HttpToolsProtocol, "_should_upgrade", ""),
    (HttpToolsProtocol, "_unsupported_upgrade_warning", ""),
    (HttpToolsProtocol, "shutdown", ""),
    (RequestResponseCycle, "send", "message"),
    (RequestResponseCycle, "receive", ""),
    (FlowControl, "__init__", "transport"),
    (FlowControl, "pause_reading", ""),
    (FlowControl, "resume_reading", ""),
    (httptools.HttpRequestParser, "set_dangerous_leniencies", None),
    (httptools.HttpRequestParser, "should_upgrade", None),
    (httptools.HttpRequestParser, "get_method", None),
    (httptools.HttpRequestParser, "get_http_version", None),
    (WebSocketsSansIOProtocol, "__init__", "config server_state app_state _loop"),
    (WebSocketsSansIOProtocol, "data_received", "data"),
    (WebSocketsSansIOProtocol, "connection_lost", "exc"),
    (WebSocketsSansIOProtocol, "handle_events", ""),
    (WebSocketsSansIOProtocol, "handle_cont", "event"),
    (WebSocketsSansIOProtocol, "handle_parser_exception", ""),
    (WebSocketsSansIOProtocol, "stop_keepalive", ""),
    (WebSocketsSansIOProtocol, "run_asgi", ""),
    (WebSocketsSansIOProtocol, "send", "message"),
    (WebSocketsSansIOProtocol, "receive", ""),
    (ServerProtocol, "receive_data", "data"),
    (ServerProtocol, "receive_eof", ""),
    (ServerProtocol, "data_to_send", ""),
    (ServerProtocol, "fail", "code reason"),
    (Executor, "build_per_event_executor", "payload"),
    (Executor, "collect_subfields", "return_type field_details_list"),
    (Executor, "build_resolve_info", "field_def field_nodes parent_type path"),
    (Lexer, "__init__", "source"),
    (Lexer, "create_token", "kind start end value"),
    (ValidationRule, "report_error", "error"),
    (KnownDirectivesRule, "report_error", "error"),
    (ValuesOfCorrectTypeRule, "is_valid_value_node", "node input_type"),
    (StreamingResponse, "stream_response", "send"),
]
"""With the names of its parameters; None where the library does not tell them."""


@pytest.mark.parametrize(("owner", "name", "parameters"), CALLED, ids=lambda value: getattr(value, "__name__", None))
def test_what_we_override_or_call_is_there_with_its_parameters(owner, name, parameters):
    hook = getattr(owner, name)

    if parameters is not None:
        found = list(inspect.signature(hook).parameters)[1:]
        assert found[: len(parameters.split())] == parameters.split()


@pytest.mark.parametrize(
    ("function", "parameters"),
    [
        (collect_fields, "schema fragments variable_values runtime_type operation"),
        (Parser.__init__, "self source"),
        (nested_too_deeply_error, "parser"),
        (sort_value_node, "value_node"),
        (validate_input_literal, "value_node type_ on_error"),
        (merge_stream_with_heartbeat, "stream heartbeat_message interval send_initial_heartbeat"),
        (get_variable_signature, None),
        (coerce_argument, None),
        (coerce_default_value, None),
        (coerce_input_value, None),
    ],
    ids=lambda value: getattr(value, "__qualname__", None),
)
def test_functions_of_no_public_interface_are_there(function, parameters):
    found = list(inspect.signature(function).parameters)

    assert parameters is None or found[: len(parameters.split())] == parameters.split()


async def an_app(scope, receive, send) -> None:
    pass


MADE = {
    "uvicorn's HTTP": (
        lambda: HttpToolsProtocol(Config(an_app), ServerState(), {}),
        "parser cycle pipeline flow transport headers scope loop client server_state tasks timeout_keep_alive",
    ),
    "uvicorn's websocket": (
        lambda: WebSocketsSansIOProtocol(Config(an_app, ws_max_size=1), ServerState(), {}),
        "conn queue frames loop transport handshake_initiated handshake_complete read_paused writable close_sent",
    ),
    "its end": (
        lambda: WebSocketsSansIOProtocol(Config(an_app), ServerState(), {}),
        "close_timer disconnected",
    ),
    "websockets' protocol": (ServerProtocol, "events parser_exc"),
    "uvicorn's flow": (lambda: FlowControl(asyncio.Transport()), "read_paused write_paused"),
    "a lexer": (lambda: Lexer(Source("{a}")), "line line_start"),
    "a visitor": (GraphQLVisitor, "enter_leave_map"),
    "visitors together": (lambda: ParallelVisitor([]), "enter_leave_map"),
    "a visitor with types": (
        lambda: TypeInfoVisitor(TypeInfo(schema._schema), GraphQLVisitor()),
        "enter_leave_map",
    ),
    "an executor": (
        lambda: StrawberryGraphQLCoreExecutionContext.build(schema._schema, parse("{ __typename }")),
        "schema fragments variable_values operation _relevant_sub_fields",
    ),
    "strawberry's type": (lambda: Market.__strawberry_definition__, "fields"),
    "strawberry's field": (
        lambda: schema._schema.query_type.fields["candles"].extensions["strawberry-definition"],
        "extensions base_resolver python_name",
    ),
    "a compiled statement": (
        lambda: sa.select(sa.bindparam("a", 1)).compile(dialect=asyncpg.dialect()),
        "positiontup params",
    ),
}


@pytest.mark.anyio
@pytest.mark.parametrize("what", MADE)
async def test_what_we_read_or_set_is_there(what):
    make, names = MADE[what]
    made = make()

    assert [name for name in names.split() if not hasattr(made, name)] == []


def test_an_answer_knows_what_we_change_of_it():
    """uvicorn's cycle: what is set in it for HTTP/1.0, and when its client is cut off."""
    source = inspect.getsource(RequestResponseCycle.__init__)
    names = (
        "scope disconnected message_event waiting_for_100_continue response_started response_complete chunked_encoding"
        " expected_content_length"
    )

    assert [name for name in names.split() if f"self.{name}" not in source] == []


def test_httptools_takes_any_buffer_and_tells_where_an_upgrade_begins():
    head = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n"

    with pytest.raises(httptools.HttpParserUpgrade) as raised:
        httptools.HttpRequestParser(object()).feed_data(memoryview(head + b"rest"))

    assert raised.value.args == (len(head),)


def test_other_shapes_are_as_we_take_them_to_be():
    assert set(inspect.signature(Info).parameters) >= {"_raw_info", "_field"}
    assert issubclass(StrawberryGraphQLCoreExecutionContext, Executor)
    assert "node" in FieldDetails._fields
    assert "prev" in Token.__slots__
    assert {opcode.name for opcode in DATA_OPCODES} == {"CONT", "TEXT", "BINARY"}
    assert {"opcode", "data", "fin"} <= set(Frame.__dataclass_fields__)
    assert "self.recv_messages" in inspect.getsource(Connection)
    assert "self.frames" in inspect.getsource(Assembler.__init__)
