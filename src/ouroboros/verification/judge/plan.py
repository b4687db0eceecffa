"""From a problem's tests to units that the judge can run, once per problem.

A unit decides one test: an assert statement, or one statement of a HumanEval check function that
holds asserts. Where every call of the candidate stands in a plain place (its arguments do not
depend on other results), all calls of all units are taken out beforehand and sent in one message;
the rest of each assert stays here. Otherwise the units run here with stand-ins for the candidate's
names that make the calls one by one.
"""

from __future__ import annotations

import ast
import builtins
import importlib
import random
import symtable
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from types import CodeType
from typing import Any, TypeGuard

from ..inside import values
from ..inside.runner import SENDING_LIMITS

TAKE = "__taken_result__"
"""The name under which a unit asks for the result of a call that was taken out."""


class ProblemError(Exception):
    """The problem itself cannot be judged: its tests do not parse, or send what has no encoding."""


@dataclass(frozen=True)
class Unit:
    """One test: its statements, and which of the taken-out calls are its own."""

    code: CodeType
    text: str
    calls: range = range(0)


@dataclass(frozen=True)
class Plan:
    """A problem, ready to be judged.

    `tests`, `visible_tests` and `extra_tests` are indexes into `units`. `candidate_names` are the
    names that stand for the candidate's objects, and what each is called there; `candidate_setup`
    is setup code that uses them and so runs on the candidate's side. `calls` are all taken-out
    calls, encoded, in order; None if the units make their calls themselves.
    """

    units: tuple[Unit, ...]
    tests: tuple[int, ...]
    visible_tests: tuple[int, ...]
    extra_tests: tuple[int, ...]
    candidate_names: dict[str, str]
    candidate_setup: str
    setup: tuple[CodeType, ...]
    modules: tuple[str, ...]
    calls: tuple[bytes, ...] | None

    def namespace(self) -> dict[str, Any]:
        """A fresh namespace with the judge's names: setup, helpers, modules."""
        random.seed(0)
        space: dict[str, Any] = {"__builtins__": builtins, "__name__": "judge"}
        for name in self.modules:
            space[name] = importlib.import_module(name)
        for code in self.setup:
            exec(code, space)
        return space


def make_plan(problem: dict[str, Any]) -> Plan:
    """Plan a problem given as its record's fields.

    Raises:
        ProblemError: see there.
    """
    try:
        return _Planner(problem).plan()
    except SyntaxError as error:
        raise ProblemError(f"its tests or setup do not parse: {error}") from None


def parse_statements(source: str) -> list[ast.stmt]:
    return ast.parse(source.replace("\r\n", "\n").strip() + "\n").body


@dataclass
class _Group:
    """Statements that together decide one test."""

    statements: list[ast.stmt]
    text: str
    calls: range = range(0)


class _Planner:
    def __init__(self, problem: dict[str, Any]) -> None:
        self.problem = problem
        self.entry_point: str = problem["entry_point"]
        self.setup_statements = parse_statements(problem["setup_code"])
        self.check_statements: list[ast.stmt] = []
        self.groups: list[_Group] = []
        self.index_of: dict[str, int] = {}
        self.candidate_parameters: set[str] = set()

    def plan(self) -> Plan:
        problem = self.problem
        if problem["check"] is None:
            tests = tuple(self.add_source(source) for source in problem["tests"])
        else:
            tests = self.add_check(problem["check"])
        visible = tuple(self.add_source(source) for source in problem["visible_tests"])
        extra = tuple(self.add_source(source) for source in problem["extra_tests"])
        judge_names, candidate_setup = self.judge_setup()
        free = _free_names([s for group in self.groups for s in group.statements])
        free |= _free_names(self.check_statements)
        modules, candidate_names = [], set(self.candidate_parameters)
        for name in sorted(free - judge_names):
            if name == self.entry_point:
                candidate_names.add(name)
            elif hasattr(builtins, name):
                continue
            elif name in sys.stdlib_module_names and self.used_as_module(name):
                modules.append(name)
            else:
                candidate_names.add(name)
        setup = [] if candidate_setup else [_compile(self.setup_statements)]
        if self.check_statements:
            setup.append(_compile(self.check_statements))
        plan = Plan(
            units=(),
            tests=tests,
            visible_tests=visible,
            extra_tests=extra,
            candidate_names={name: self.remote_name(name) for name in sorted(candidate_names)},
            candidate_setup=candidate_setup,
            setup=tuple(code for code in setup if code is not None),
            modules=tuple(modules),
            calls=None,
        )
        calls = None if candidate_setup else self.take_calls_out(plan, candidate_names)
        units = tuple(Unit(_compile(g.statements), g.text, g.calls) for g in self.groups)
        return replace(plan, units=units, calls=calls)

    def add_source(self, source: str) -> int:
        """The unit of an assert statement; one that stands in two lists is one unit."""
        if source in self.index_of:
            return self.index_of[source]
        statements = parse_statements(source)
        if not any(_holds_assert(statement) for statement in statements):
            raise ProblemError(f"a test without an assert: {source[:80]!r}")
        return self.index_of.setdefault(source, self.add_group(statements, source))

    def add_group(self, statements: list[ast.stmt], text: str) -> int:
        self.groups.append(_Group(statements, text))
        return len(self.groups) - 1

    def remote_name(self, name: str) -> str:
        return self.entry_point if name in self.candidate_parameters else name

    def add_check(self, check: str) -> tuple[int, ...]:
        """The units of a check function: one for each of its statements that holds an assert.

        Statements in between (assignments, helpers) belong to the next unit. A body that cannot be
        run statement by statement (it returns) is one unit as a whole.
        """
        body = parse_statements(check)
        found = [s for s in body if isinstance(s, ast.FunctionDef) and s.name == "check"]
        if len(found) != 1:
            raise ProblemError("its check must define one function named check")
        function = found[0]
        parameters = [argument.arg for argument in function.args.args]
        if len(parameters) != 1:
            raise ProblemError("its check function must take one argument, the candidate")
        if not any(_holds_assert(statement) for statement in function.body):
            raise ProblemError("its check function asserts nothing")
        self.candidate_parameters = set(parameters)
        at = body.index(function)
        if any(isinstance(n, ast.Return | ast.Yield | ast.Nonlocal | ast.Global)
               for s in function.body for n in _walk_own(s)):  # fmt: skip
            self.check_statements = body
            call = ast.parse(f"check({parameters[0]})").body
            return (self.add_group(call, "check"),)
        self.check_statements = body[:at] + body[at + 1 :]
        pending: list[ast.stmt] = []
        indexes = []
        for statement in function.body:
            if isinstance(statement, ast.Pass) or _is_text(statement):
                continue
            pending.append(statement)
            if _holds_assert(statement):
                indexes.append(self.add_group(pending, ast.unparse(statement)))
                pending = []
        self.groups[indexes[-1]].statements.extend(pending)
        return tuple(indexes)

    def judge_setup(self) -> tuple[set[str], str]:
        """The names the judge's side defines, and the setup code left to the candidate's side.

        Setup that needs a name nobody but the candidate can define (a tree built from its own
        `Node`) runs there, as a whole.
        """
        names = _bound_names(self.check_statements)
        bound = _bound_names(self.setup_statements)
        missing = {
            name
            for name in _free_names(self.setup_statements) - bound
            if not hasattr(builtins, name)
        }
        if missing or self.entry_point in _free_names(self.setup_statements) - bound:
            return names, ast.unparse(ast.Module(self.setup_statements, []))
        return names | bound, ""

    def used_as_module(self, name: str) -> bool:
        """Whether a test says `name.something`, as it would of a module."""
        statements = [s for group in self.groups for s in group.statements]
        return any(
            isinstance(node, ast.Attribute)
            and isinstance(node.value, ast.Name)
            and node.value.id == name
            for statement in [*statements, *self.check_statements]
            for node in ast.walk(statement)
        )

    def take_calls_out(self, plan: Plan, names: set[str]) -> tuple[bytes, ...] | None:
        """All calls, encoded; each gives way to a request for its result in its group's statement.

        None, and nothing is changed, where that would change what the tests mean.
        """
        if _free_names(self.check_statements) & names:
            return None  # a helper of the check calls the candidate
        taken: list[tuple[_Group, list[ast.Call]]] = []
        for group in self.groups:
            if len(group.statements) != 1 or not isinstance(group.statements[0], ast.Assert):
                return None
            sites = _plain_sites(group.statements[0], names)
            if sites is None:
                return None
            taken.append((group, sites))
        space = plan.namespace()
        calls: list[bytes] = []
        for _, sites in taken:
            for site in sites:
                assert isinstance(site.func, ast.Name)
                encoded = _encode_site(site, self.remote_name(site.func.id), space)
                if encoded is None:
                    return None
                calls.append(encoded)
        number = 0
        for group, sites in taken:
            first = number
            for site in sites:
                site.func = ast.copy_location(ast.Name(id=TAKE, ctx=ast.Load()), site)
                site.args = [ast.copy_location(ast.Constant(value=number), site)]
                site.keywords = []
                number += 1
            group.calls = range(first, number)
        return tuple(calls)


def _plain_sites(statement: ast.Assert, names: set[str]) -> list[ast.Call] | None:
    """The candidate's calls in an assert, outermost first; None if they are not all plain."""
    sites: list[ast.Call] = []

    def visit(node: ast.AST) -> bool:
        if _is_call_of(node, names):
            sites.append(node)
            inner = [*node.args, *(keyword.value for keyword in node.keywords)]
            if any(isinstance(argument, ast.Starred) for argument in node.args):
                return False
            return not any(_mentions(value, names) for value in inner)
        if isinstance(node, ast.Name) and node.id in names:
            return False
        # `Stack().push(1)`: the first call's object has to stay on the candidate's side.
        if isinstance(node, ast.Attribute) and _is_call_of(node.value, names):
            return False
        if isinstance(node, ast.Call) and _is_call_of(node.func, names):
            return False
        scoped = (
            ast.Lambda, ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp, ast.NamedExpr,
        )  # fmt: skip
        if isinstance(node, scoped) and _mentions(node, names):
            return False
        return all(visit(child) for child in ast.iter_child_nodes(node))

    return sites if visit(statement) else None


def _mentions(node: ast.AST, names: set[str]) -> bool:
    return any(isinstance(inner, ast.Name) and inner.id in names for inner in ast.walk(node))


def _is_call_of(node: ast.AST, names: set[str]) -> TypeGuard[ast.Call]:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in names


def _encode_site(site: ast.Call, target: str, space: dict[str, Any]) -> bytes | None:
    """A call with its arguments evaluated; None if they cannot be evaluated beforehand."""
    try:
        arguments = tuple(_evaluate(argument, space) for argument in site.args)
        keywords: dict[str, Any] = {}
        for keyword in site.keywords:
            value = _evaluate(keyword.value, space)
            keywords.update(value if keyword.arg is None else {keyword.arg: value})
        call = ("call", values.Reference(target), arguments, keywords)
        return values.encode(call, SENDING_LIMITS, _as_reference)
    except Exception:
        return None


def _as_reference(value: Any) -> values.Reference | values.Literal | None:
    return value if type(value) in (values.Reference, values.Literal) else None


def _evaluate(node: ast.expr, space: dict[str, Any]) -> Any:
    if type(node) is ast.Constant:
        return node.value
    sets: list[ast.Set] = []
    try:
        value = _literal(node, sets)
    except _NotLiteral:
        code = compile(ast.Expression(body=node), "<test>", "eval", dont_inherit=True)
        return eval(code, space)
    return values.Literal(ast.unparse(node)) if sets else value


class _NotLiteral(Exception):
    pass


def _literal(node: ast.expr, sets: list[ast.Set]) -> Any:
    """The value of a literal as the compiler would build it; sets in it are noted, and left out.

    Most arguments are literals, and this is several times faster than compiling them.

    Raises:
        _NotLiteral: anything else.
    """
    kind = type(node)
    if isinstance(node, ast.Constant):
        return node.value
    if isinstance(node, ast.List):
        return [_literal(item, sets) for item in node.elts]
    if isinstance(node, ast.Tuple):
        return tuple([_literal(item, sets) for item in node.elts])
    if isinstance(node, ast.UnaryOp) and type(node.operand) is ast.Constant:
        value = node.operand.value
        if type(node.op) is ast.USub and isinstance(value, int | float | complex):
            return -value
    if isinstance(node, ast.Dict) and None not in node.keys:
        keys = [_literal(key, sets) for key in node.keys if key is not None]
        try:
            return dict(zip(keys, [_literal(item, sets) for item in node.values], strict=True))
        except TypeError:  # a key that cannot be hashed: let the compiled form say so
            raise _NotLiteral from None
    if kind is ast.Set:
        assert isinstance(node, ast.Set)
        sets.append(node)
        for item in node.elts:
            _literal(item, sets)
        return None
    raise _NotLiteral


def _compile(statements: list[ast.stmt]) -> Any:
    if not statements:
        return None
    module = ast.Module(body=statements, type_ignores=[])
    return compile(module, "<test>", "exec", dont_inherit=True)


def _holds_assert(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.Assert) or any(
        isinstance(node, ast.Assert) for node in ast.walk(statement)
    )


def _is_text(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)


def _walk_own(statement: ast.stmt) -> list[ast.AST]:
    """The nodes of a statement outside the functions defined in it."""
    found: list[ast.AST] = []
    pending: list[ast.AST] = [statement]
    while pending:
        node = pending.pop()
        found.append(node)
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda | ast.ClassDef):
            pending.extend(ast.iter_child_nodes(node))
    return found


_SCOPES = (
    ast.Lambda, ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp, ast.FunctionDef,
    ast.AsyncFunctionDef, ast.ClassDef, ast.Import, ast.ImportFrom, ast.ExceptHandler, ast.Global,
    ast.Match,
)  # fmt: skip
"""Nodes that bind names in other ways than by `Name`, or have names of their own."""


def _walk(statements: list[ast.stmt]) -> Iterator[ast.AST]:
    """All nodes, in no order: `ast.walk` without its cost per node."""
    pending: list[Any] = list(statements)
    while pending:
        node = pending.pop()
        yield node
        for name in node._fields:
            value = getattr(node, name, None)
            if isinstance(value, ast.AST):
                # Load, Store and the operators have no fields: nothing is to be found in them.
                if value._fields:
                    pending.append(value)
            elif type(value) is list:
                pending += [item for item in value if isinstance(item, ast.AST)]


def _bound_names(statements: list[ast.stmt]) -> set[str]:
    """Names that statements bind at their own level, over-approximated."""
    found: set[str] = set()
    for statement in statements:
        for node in _walk_own(statement):
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                found.add(node.id)
            elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                found.add(node.name)
            elif isinstance(node, ast.Import | ast.ImportFrom):
                for alias in node.names:
                    found.add((alias.asname or alias.name).split(".")[0])
                    if alias.name == "*" and isinstance(node, ast.ImportFrom) and node.module:
                        found.update(_public_names(node.module))
            elif isinstance(node, ast.ExceptHandler) and node.name:
                found.add(node.name)
    return found


def _public_names(module_name: str) -> list[str]:
    try:
        module = importlib.import_module(module_name)
    except ImportError:
        return []
    return list(getattr(module, "__all__", [n for n in vars(module) if not n.startswith("_")]))


def _free_names(statements: list[ast.stmt]) -> set[str]:
    """Global names that statements use and do not bind themselves, by the compiler's own rules."""
    if not statements:
        return set()
    loaded: set[str] = set()
    bound: set[str] = set()
    scoped = False
    for node in _walk(statements):
        kind = type(node)
        if isinstance(node, ast.Name):
            (loaded if type(node.ctx) is ast.Load else bound).add(node.id)
        elif kind in _SCOPES:
            scoped = True
            break
    if not scoped:
        return loaded - bound
    source = ast.unparse(ast.Module(body=statements, type_ignores=[]))
    table = symtable.symtable(source, "<test>", "exec")
    found: set[str] = set()
    pending = [table]
    while pending:
        scope = pending.pop()
        pending.extend(scope.get_children())
        for symbol in scope.get_symbols():
            top = scope.get_type() == "module"
            if symbol.is_referenced() and (symbol.is_global() or (top and not symbol.is_assigned()
                                           and not symbol.is_imported())):  # fmt: skip
                found.add(symbol.get_name())
    return found - _bound_names(statements)
