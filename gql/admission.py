"""What every operation passes before it runs, over whatever transport."""

from dataclasses import dataclass
from typing import Any

from graphql import OperationType

from gql.caller import permit
from gql.context import Context
from gql.errors import COST_LIMIT_EXCEEDED, RATE_LIMITED, refused
from gql.execution.documents import Chosen, Document
from gql.rate import Exhausted
from gql.request import Request

READING = 4
"""Points of a character of a document that has to be parsed and validated first."""


@dataclass(slots=True)  # not frozen: that would take half a microsecond
class Admitted:
    """An operation that may run, with its variables as they came."""

    document: Document
    operation: Chosen
    variables: dict[str, Any]
    cost: dict[str, int]
    """extensions.cost: what it takes, what one may take, and what this client has left in this minute."""

    @property
    def kind(self) -> OperationType:
        return self.operation.kind


async def admitted(request: Request, context: Context) -> Admitted:
    """The operation that is asked for.

    Raises:
        Refused: It is not to run; the errors say why, as clients may see it.
    """
    gate = context.resources.gate
    text = gate.trusted.text_of(request)
    document = gate.documents.known(text)
    if document is None:
        await _charged(context, READING * min(len(text), gate.limits.characters))
        document = await gate.documents.learned(text, request.operation_name)
    operation = document.choose(request.operation_name)
    permit(context.caller, operation.kind, operation.fields)
    variables = request.variables or {}
    cost, limit = operation.costs.of(variables), gate.limits.cost
    if cost > limit:
        message = f"The operation costs {cost:,} points, and may cost {limit:,}: ask for fewer rows or fields"
        raise refused(COST_LIMIT_EXCEEDED, message, cost={"requested": cost, "limit": limit})
    told = {"requested": cost, "limit": limit}
    if gate.accounts is not None:
        remaining = gate.accounts.spent(context.caller.account, cost)
        told["remaining"] = await _charged(context, cost) if remaining is None else remaining
    return Admitted(document, operation, variables, told)


async def _charged(context: Context, points: int) -> int:
    accounts = context.resources.gate.accounts
    if accounts is None:
        return 0
    try:
        return await accounts.charge(context.caller.account, points)
    except Exhausted as exhausted:
        seconds = exhausted.retry_after
        message = f"Too many points were spent in this minute; try again in {seconds} s"
        raise refused(RATE_LIMITED, message, retryAfter=seconds) from exhausted
