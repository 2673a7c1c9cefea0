"""graphql-core's parser, whose tokens don't refer to each other in circles.

What does is left to Python's garbage collector, and while that has 50,000 tokens in its hands nobody is answered.
"""

from collections.abc import Callable

from graphql import DocumentNode, Lexer, Source, Token, TokenKind
from graphql.language.parser import Parser, nested_too_deeply_error


class _Token(Token):
    """One that knows the next, and not the one before."""

    __slots__ = ()

    @property
    def prev(self) -> None:
        return None

    @prev.setter
    def prev(self, token: Token | None) -> None:
        pass


class _Lexer(Lexer):
    def __init__(self, source: Source, rest: Callable[[], None]) -> None:
        super().__init__(source)
        self._rest = rest

    def create_token(self, kind: TokenKind, start: int, end: int, value: str | None = None) -> Token:
        self._rest()
        return _Token(kind, start, end, self.line, 1 + start - self.line_start, value)


def parsed(text: str, most_tokens: int, rest: Callable[[], None]) -> DocumentNode:
    """The document of `text`; `rest` is called before each token.

    Raises:
        GraphQLSyntaxError: It is none, or is nested too deeply.
        GraphQLError: It has too many tokens.
    """
    parser = Parser(text, lexer=_Lexer(Source(text), rest), max_lexical_tokens=most_tokens)
    try:
        return parser.parse_document()
    except RecursionError:
        pass  # an error raised here would keep all the frames of the recursion
    raise nested_too_deeply_error(parser)
