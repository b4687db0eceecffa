"""What can be said of a program without running it.

Read from the syntax tree and the symbol table alone; nothing is imported, compiled to bytecode or
executed. Hostile input (null bytes, absurd nesting, huge literals) counts as a program that does
not parse. The facts are written into what the critic reads, and on their own they are a selector
the critic must beat.
"""

from __future__ import annotations

import ast
import builtins
import dataclasses
import functools
import symtable
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

MODULE_NAMES = frozenset(
    {"__name__", "__file__", "__doc__", "__builtins__", "__spec__", "__loader__", "__package__"}
)
Function = ast.FunctionDef | ast.AsyncFunctionDef
MEMORY = 1 << 17
"""Programs whose facts are remembered: further trainings and selectors ask for the same ones."""


@dataclass(frozen=True, kw_only=True, slots=True)
class StaticFacts:
    """Facts about one program. Where it does not parse, the other facts keep their defaults.

    Attributes:
        parses: it is valid Python 3.11.
        defines_entry_point: the entry point is bound at module level.
        accepts_arguments: the entry point can be called as the visible tests call it; null where
            no visible test calls it or its signature is not written out.
        undefined_names: names read that nothing binds: a NameError if they are reached.
        returns_value: some path of the entry point returns (or yields) a value.
        may_end_without_return: some path returns a value and another runs off the end.
        unused_parameters: parameters of the entry point that its body never reads.
        is_stub: the entry point's body is empty but for `pass`, `...` or a raise.
        reads_input: it calls input(), which no test answers.
    """

    parses: bool
    defines_entry_point: bool = False
    accepts_arguments: bool | None = None
    undefined_names: tuple[str, ...] = ()
    returns_value: bool = False
    may_end_without_return: bool = False
    unused_parameters: tuple[str, ...] = ()
    is_stub: bool = False
    reads_input: bool = False

    def score(self) -> float:
        """A rank by rules alone: 0 where nothing is wrong, lower the surer the failure."""
        if not self.parses:
            return -20.0
        score = 0.0
        score -= 10.0 * (not self.defines_entry_point)
        score -= 8.0 * (self.accepts_arguments is False)
        score -= 6.0 * bool(self.undefined_names)
        score -= 5.0 * self.is_stub
        score -= 4.0 * (self.defines_entry_point and not self.returns_value)
        score -= 4.0 * self.reads_input
        score -= 2.0 * self.may_end_without_return
        score -= 1.0 * min(len(self.unused_parameters), 2)
        return score

    def describe(self) -> str:
        """The facts as a short English line; a program with nothing wrong reads "no problem"."""
        if not self.parses:
            return "syntax error"
        found = []
        if not self.defines_entry_point:
            found.append("missing function")
        if self.accepts_arguments is False:
            found.append("wrong arguments")
        if self.undefined_names:
            found.append("undefined " + " ".join(self.undefined_names[:3]))
        if self.is_stub:
            found.append("empty body")
        if self.defines_entry_point and not self.returns_value:
            found.append("returns nothing")
        if self.reads_input:
            found.append("reads input")
        if self.may_end_without_return:
            found.append("may end without return")
        if self.unused_parameters:
            found.append("unused " + " ".join(self.unused_parameters[:3]))
        return ", ".join(found) or "no problem"


def parse(code: str) -> ast.Module | None:
    """The syntax tree, or None where the code is not valid Python (or too deep to read)."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return ast.parse(code)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def facts(code: str, entry_point: str, visible_tests: Sequence[str] = ()) -> StaticFacts:
    """What is known of `code` as an answer to a problem, without running it.

    Args:
        code: the program.
        entry_point: the name the tests call.
        visible_tests: assert statements; only how they call the entry point is looked at.
    """
    return _remembered(code, entry_point, tuple(visible_tests))


@functools.lru_cache(MEMORY)
def _remembered(code: str, entry_point: str, visible_tests: tuple[str, ...]) -> StaticFacts:
    tree = parse(code)
    table = _symbols(code) if tree is not None else None
    if tree is None or table is None or _returns_outside_function(tree):
        return StaticFacts(parses=False)
    try:
        return _facts(tree, table, entry_point, visible_tests)
    except RecursionError:
        # It parses but nests too deeply to walk; nothing more is claimed about it.
        return StaticFacts(parses=True, defines_entry_point=True, returns_value=True)


def _facts(
    tree: ast.Module, table: symtable.SymbolTable, entry_point: str, visible_tests: Sequence[str]
) -> StaticFacts:
    defined = _bound_globals(table)
    base = StaticFacts(
        parses=True,
        defines_entry_point=entry_point in defined,
        undefined_names=_undefined(tree, table, defined),
        returns_value=True,
        reads_input="input" not in defined and _calls(tree, "input"),
    )
    function = _function_named(tree, entry_point)
    if function is None:
        # A class, an alias or a lambda: what it does with its arguments is not looked into.
        return base
    returns = any(_returns_value(node) for node in _own_nodes(function))
    is_generator = any(isinstance(n, ast.Yield | ast.YieldFrom) for n in _own_nodes(function))
    return dataclasses.replace(
        base,
        accepts_arguments=_accepts(function, entry_point, visible_tests),
        returns_value=returns,
        may_end_without_return=returns and not is_generator and _falls_through(function.body),
        unused_parameters=_unused_parameters(function),
        is_stub=_is_stub(function),
    )


def _symbols(code: str) -> symtable.SymbolTable | None:
    # The symbol table also finds what the parser lets pass: a name both global and a parameter.
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return symtable.symtable(code, "program", "exec")
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def _returns_outside_function(tree: ast.Module) -> bool:
    # Found by Python only when it compiles, after parser and symbol table.
    pending: list[ast.AST] = list(tree.body)
    while pending:
        node = pending.pop()
        if isinstance(node, ast.Return | ast.Yield | ast.YieldFrom | ast.Await):
            return True
        if not isinstance(node, Function | ast.Lambda):
            pending.extend(ast.iter_child_nodes(node))
    return False


def _tables(table: symtable.SymbolTable) -> Iterator[symtable.SymbolTable]:
    pending = [table]
    while pending:
        current = pending.pop()
        yield current
        pending.extend(current.get_children())


def _bound_globals(table: symtable.SymbolTable) -> set[str]:
    bound = {s.get_name() for s in table.get_symbols() if s.is_assigned() or s.is_imported()}
    for inner in _tables(table):
        bound |= {
            s.get_name()
            for s in inner.get_symbols()
            if s.is_declared_global() and (s.is_assigned() or s.is_imported())
        }
    return bound


def _undefined(tree: ast.Module, table: symtable.SymbolTable, defined: set[str]) -> tuple[str, ...]:
    if any(
        isinstance(node, ast.ImportFrom) and any(alias.name == "*" for alias in node.names)
        for node in ast.walk(tree)
    ):
        return ()  # what a star import binds cannot be known without running it
    known = defined | set(dir(builtins)) | MODULE_NAMES
    missing = {
        symbol.get_name()
        for inner in _tables(table)
        for symbol in inner.get_symbols()
        if symbol.is_referenced() and symbol.is_global() and symbol.get_name() not in known
    }
    return tuple(sorted(missing))


def _calls(tree: ast.AST, name: str) -> bool:
    return any(
        isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == name
        for node in ast.walk(tree)
    )


def _function_named(tree: ast.Module, name: str) -> Function | None:
    found = None
    for node in tree.body:
        if isinstance(node, Function) and node.name == name:
            found = node  # the last definition is the one that stands
    return found


def _own_nodes(function: Function) -> Iterator[ast.AST]:
    """The nodes of a function's body, without those of functions and classes inside it."""
    pending: list[ast.AST] = list(reversed(function.body))
    while pending:
        node = pending.pop()
        yield node
        if not isinstance(node, Function | ast.ClassDef | ast.Lambda):
            pending.extend(ast.iter_child_nodes(node))


def _returns_value(node: ast.AST) -> bool:
    if isinstance(node, ast.Return):
        return node.value is not None
    return isinstance(node, ast.Yield | ast.YieldFrom)


def _accepts(function: Function, name: str, tests: Sequence[str]) -> bool | None:
    answers = []
    for test in tests:
        tree = parse(test)
        for node in ast.walk(tree) if tree is not None else ():
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name):
                continue
            if node.func.id == name:
                answers.append(_binds(function.args, node))
    return all(answers) if answers else None


def _binds(signature: ast.arguments, call: ast.Call) -> bool:
    if any(isinstance(arg, ast.Starred) for arg in call.args) or any(
        keyword.arg is None for keyword in call.keywords
    ):
        return True  # how many arguments a star brings is not known here
    positional = [arg.arg for arg in (*signature.posonlyargs, *signature.args)]
    by_name = {arg.arg for arg in (*signature.args, *signature.kwonlyargs)}
    if len(call.args) > len(positional) and signature.vararg is None:
        return False
    filled = set(positional[: len(call.args)])
    for keyword in call.keywords:
        if keyword.arg in filled or (keyword.arg not in by_name and signature.kwarg is None):
            return False
        filled.add(str(keyword.arg))
    required = set(positional[: len(positional) - len(signature.defaults)])
    required |= {
        arg.arg
        for arg, default in zip(signature.kwonlyargs, signature.kw_defaults, strict=True)
        if default is None
    }
    return required <= filled


def _unused_parameters(function: Function) -> tuple[str, ...]:
    read = {
        node.id
        for statement in function.body
        for node in ast.walk(statement)
        if isinstance(node, ast.Name)
    }
    if {"locals", "vars", "eval", "exec"} & read:
        return ()
    arguments = function.args
    names = [arg.arg for arg in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)]
    return tuple(name for name in names if name not in read)


def _is_stub(function: Function) -> bool:
    def empty(node: ast.stmt) -> bool:
        constant = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        return constant or isinstance(node, ast.Pass | ast.Raise)

    return all(empty(node) for node in function.body)


def _falls_through(body: Sequence[ast.stmt]) -> bool:
    """Whether control can run off the end of `body`. Conditions count as able to go either way."""
    return not any(_stops(statement) for statement in body)


def _stops(node: ast.stmt) -> bool:
    """Whether control never passes beyond this statement to the next one."""
    match node:
        case ast.Return() | ast.Raise() | ast.Continue() | ast.Break():
            return True
        case ast.If():
            return bool(node.orelse) and not (
                _falls_through(node.body) or _falls_through(node.orelse)
            )
        case ast.While():
            forever = isinstance(node.test, ast.Constant) and bool(node.test.value)
            return (forever and not _breaks(node.body)) or _else_stops(node)
        case ast.For() | ast.AsyncFor():
            return _else_stops(node)
        case ast.With() | ast.AsyncWith():
            return not _falls_through(node.body)
        case ast.Try():
            if node.finalbody and not _falls_through(node.finalbody):
                return True
            bodies = [[*node.body, *node.orelse], *(handler.body for handler in node.handlers)]
            return not any(_falls_through(part) for part in bodies)
        case ast.Match():
            last = node.cases[-1]
            catch_all = (
                isinstance(last.pattern, ast.MatchAs)
                and last.pattern.pattern is None
                and last.guard is None
            )
            return catch_all and not any(_falls_through(case.body) for case in node.cases)
    return False


def _else_stops(loop: ast.While | ast.For | ast.AsyncFor) -> bool:
    return bool(loop.orelse) and not _falls_through(loop.orelse) and not _breaks(loop.body)


def _breaks(body: Sequence[ast.stmt]) -> bool:
    pending: list[ast.AST] = list(body)
    while pending:
        node = pending.pop()
        if isinstance(node, ast.Break):
            return True
        if not isinstance(node, ast.While | ast.For | ast.AsyncFor | Function | ast.ClassDef):
            pending.extend(ast.iter_child_nodes(node))
    return False
