"""Variables and arguments of a compiled operation: what is the same in every request is made once.

Only leaves (scalars and enums) are taken: those need no conversion after graphql-core's.
"""

from typing import Any, NamedTuple

from graphql import (
    FieldNode,
    GraphQLError,
    GraphQLField,
    GraphQLInputType,
    GraphQLSchema,
    OperationDefinitionNode,
    Undefined,
    VariableNode,
    get_nullable_type,
    is_leaf_type,
    is_non_null_type,
)
from graphql.execution.get_variable_signature import get_variable_signature
from graphql.execution.values import coerce_argument
from graphql.utilities.coerce_input_value import coerce_default_value, coerce_input_value


class NotCoercible(Exception):
    """graphql-core must say what is wrong with a value, or take it apart."""


class Variable(NamedTuple):
    """`default` is Undefined where there is none."""

    name: str
    type: GraphQLInputType
    default: Any


class Argument(NamedTuple):
    """By its Python name; the value of `variable` where that is given, or else `constant` unless that is Undefined."""

    python_name: str
    variable: str | None
    constant: Any
    is_nullable: bool


def given(arguments: tuple[Argument, ...], values: dict[str, Any]) -> dict[str, Any]:
    """What a resolver gets, when the variables have these values.

    Raises:
        NotCoercible: An argument is missing, or null where it must not be.
    """
    made = {}
    for name, variable, constant, is_nullable in arguments:
        value = constant if variable is None else values.get(variable, constant)
        if value is not Undefined:
            made[name] = value
        if not is_nullable and (value is None or value is Undefined):
            raise NotCoercible(f"argument {name}")
    return made


def variables_of(schema: GraphQLSchema, operation: OperationDefinitionNode) -> list[Variable]:
    """The operation's variables."""
    variables = []
    for node in operation.variable_definitions or ():
        signature = get_variable_signature(schema, node)
        if isinstance(signature, GraphQLError):  # which validation keeps out
            raise signature
        variables.append(Variable(signature.name, signature.type, coerce_default_value(signature)))
    return variables


def coerced(variables: list[Variable], inputs: dict[str, Any]) -> dict[str, Any]:
    """The variables' values; those that are not given and have no default are left out.

    Raises:
        NotCoercible: One is missing, or not of its type.
    """
    values = {}
    for name, type_, default in variables:
        if name in inputs:
            value = coerce_input_value(inputs[name], type_)
            if value is Undefined:
                raise NotCoercible(f"variable of type {type_}")
            values[name] = value
        elif default is not Undefined:
            values[name] = default
        elif is_non_null_type(type_):
            raise NotCoercible(f"variable of type {type_}")
    return values


def arguments_of(field: GraphQLField, node: FieldNode, variables: list[Variable]) -> tuple[Argument, ...]:
    """The arguments of a field.

    Raises:
        NotCoercible: One is a list or an object, has a variable inside, or is wrong.
    """
    declared = {variable.name for variable in variables}
    nodes = {argument.name.value: argument for argument in node.arguments or ()}
    made = []
    for name, argument in field.args.items():
        literal = nodes.get(name)
        variable = None
        if literal is not None and isinstance(literal.value, VariableNode):
            variable, literal = literal.value.name.value, None  # behind it stands the default
        if not is_leaf_type(get_nullable_type(argument.type)) or (variable and variable not in declared):
            raise NotCoercible(f"argument {name}")
        constants: dict[str, Any] = {}
        try:
            coerce_argument(constants, node, name, argument, literal, None, None)
        except GraphQLError as error:
            if variable is None:
                raise NotCoercible(f"argument {name}") from error
        [constant] = constants.values() or [Undefined]
        python_name = argument.extensions["strawberry-definition"].python_name
        made.append(Argument(python_name, variable, constant, not is_non_null_type(argument.type)))
    return tuple(made)
