"""Documents made to be dear: each is refused, or is cheap after all."""

from attack.talk import Talker, expected

PARSE, VALIDATION, INPUT = "GRAPHQL_PARSE_FAILED", "GRAPHQL_VALIDATION_FAILED", "BAD_USER_INPUT"
_COST = "COST_LIMIT_EXCEEDED"
_REFUSED = (PARSE, VALIDATION, INPUT, _COST)
_TIMES = 5
"""Each is sent so often, a little different: what is remembered of a document must not help."""


def _nested(before: str, inside: str, after: str, levels: int) -> str:
    return before * levels + inside + after * levels


def _bomb(levels: int, spreads: int) -> str:
    """Fragments of which each spreads the next several times."""
    parts = [f"fragment F{n} on Query {{ {f'...F{n + 1} ' * spreads} }}" for n in range(levels)]
    return "{ ...F0 } " + " ".join([*parts, f"fragment F{levels} on Query {{ __typename }}"])


def _introspection(levels: int) -> str:
    return "{ __schema { types { " + _nested("fields { type { ", "name", " } }", levels) + " } } }"


def _introspection_fan(levels: int) -> str:
    """Each type with its fields, each of these with its type, and so on: exponential in what is answered."""
    return "{ __schema { types { " + _nested("fields { type { ofType { ", "name", " } } }", levels) + " } } }"


ALIASES = "{ " + " ".join(f"a{n}: __typename" for n in range(1_000)) + " }"
DOCUMENTS: dict[str, list[str]] = {
    "1,000 aliases": [ALIASES, "{ " + " ".join(f"a{n}: health {{ healthy }}" for n in range(1_000)) + " }"],
    "deep nesting": [
        "{ " + _nested("... on Query { ", "__typename", " }", 1_000) + " }",
        "{ " + _nested("... { ", "__typename", " }", 10_000) + " }",
        "{ " + "bots { nodes { latestCandle { " * 200 + "open" + " } } }" * 200 + " }",
        "{ latestCandle(symbol: " + _nested("[", '"x"', "]", 5_000) + ', timeframe: "1m") { open } }',
        "{ latestCandle(symbol: " + _nested("{a: ", "1", "}", 5_000) + ', timeframe: "1m") { open } }',
        "query ($x: " + _nested("[", "Int", "]", 5_000) + ") { __typename }",
    ],
    "directive flood": [
        "{ __typename " + "@skip(if: false) " * 1_000 + "}",
        "{ __typename " + "@a " * 1_000 + "}",
        "query " + "@a " * 1_000 + "{ __typename }",
    ],
    "circular fragments": [
        "{ ...A } fragment A on Query { ...A }",
        "{ ...A } fragment A on Query { ...B } fragment B on Query { ...A }",
        "{ ...F0 } " + " ".join(f"fragment F{n} on Query {{ ...F{(n + 1) % 300} }}" for n in range(300)),
    ],
    "introspection bomb": [_introspection(20), _introspection_fan(6)],
    "1 MB query": [
        "{ " + "__typename " * 90_000 + "}",
        "{ __typename } #" + "x" * 1_000_000,
        '{ latestCandle(symbol: "' + "x" * 1_000_000 + '", timeframe: "1m") { open } }',
        "{" * 1_000_000,
    ],
    "equal fields": ["{ " + "health { healthy } " * 900 + "}", "{ " + "bots { nodes { id name } } " * 400 + "}"],
    "unknown names": [
        "{ " + " ".join(f"unknown{n}" for n in range(900)) + " }",
        "{ health { " + " ".join(f"healthyy{n}" for n in range(900)) + " } }",
        "query (" + " ".join(f"$v{n}: Nothing{n}" for n in range(400)) + ") { __typename }",
    ],
    "many operations": [
        " ".join(f"query Q{n} {{ __typename }}" for n in range(600)),
        " ".join(f"fragment F{n} on Query {{ __typename }}" for n in range(400)) + " { __typename }",
    ],
    "no documents": ["", " ", "{", "}", "\ufeff", "#", "\x00", "{ \x00 }", "type Query { a: Int }", "query", "…"],
}
CHEAP_OR_REFUSED = {
    "fragment bomb": [_bomb(30, 2), _bomb(14, 2), _bomb(12, 10), _bomb(100, 3)],
    "dear pages": [
        "{ " + " ".join(
            f'a{n}: candles(symbol: "BTC-USDT", timeframe: "5s", last: 10000) {{ nodes {{ open high low close }} }}'
            for n in range(29)
        ) + " }",
    ],
}  # fmt: skip


async def refused(talker: Talker, documents: list[str]) -> tuple[list[str], int]:
    """What went wrong when they were sent, and how many were."""
    wrong, count = [], 0
    for document in documents:
        for time in range(_TIMES):
            answer = await talker.ask(document + " " * time)
            wrong += expected(document[:40], answer, (200, 400), _REFUSED)
            if '"data":{' in answer.text:
                wrong.append(f"{document[:40]}: was executed")
            count += 1
    return wrong, count


async def cheap_or_refused(talker: Talker, documents: list[str]) -> tuple[list[str], int]:
    wrong, count = [], 0
    for document in documents:
        for time in range(_TIMES):
            answer = await talker.ask(document + " " * time)
            allowed = _REFUSED if answer.codes else ()
            wrong += expected(document[:40], answer, (200, 400), allowed)
            count += 1
    return wrong, count
