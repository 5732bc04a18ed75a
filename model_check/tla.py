"""A model as a TLA+ module: for people to read, and for TLC to enumerate a second time.

The text is symbolic: an operator for each action with the id of its row beside it, functions over sets of model
values, quantifiers. Its reachable states are those that :mod:`model_check.ground` enumerates, one for one. Where the
language and TLA+ differ, an operator of the module says what the language means.

With the ground model at hand, actions that never fire are left out, and fields that never change become definitions.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from textwrap import wrap
from typing import NamedTuple

from model_check.expr import TRUE, Bool, Domain, Duration, Enum, Expr, LangError, Ref, Timer, number_of
from model_check.fold import Folder, open_in
from model_check.ground import Ground
from model_check.lang import Action, Field, Model, Update
from model_check.tla_formulas import COMPOUND, SYMBOLS, WIDTH, Block, Formulas, Scope, domain_of, hang, parts_of, shape


class Fair(NamedTuple):
    """What can be done is done: if all the time (strong: again and again) one of the actions can be taken, one is.

    A parameter that all of them have is not a choice: each of its elements is promised this for itself.
    """

    name: str
    actions: Sequence[str]
    strong: bool = False


class LeadsTo(NamedTuple):
    """Whenever ``cause`` holds, ``effect`` holds then or later; for all elements, if parameters are left open."""

    name: str
    cause: Expr
    effect: Expr


def module(
    model: Model, name: str, ground: Ground | None = None, fair: Sequence[Fair] = (), leads_to: Sequence[LeadsTo] = ()
) -> str:
    """The text of the module ``name``."""
    head = f"---- MODULE {name} ----\n\\* Made from the model {model.name} by model_check.tla, not written by hand.\n"
    return f"{head}EXTENDS Naturals, TLC\n{_Module(model, ground, fair, leads_to).text}\n\n====\n"


def config(
    model: Model,
    ground: Ground | None,
    invariants: Iterable[str],
    *,
    symmetry: bool = False,
    chosen: Mapping[str, object] | None = None,
    fair: Sequence[Fair] = (),
    leads_to: Sequence[LeadsTo] = (),
) -> str:
    """What TLC shall check of the module with the same arguments. ``invariants`` are the model's, and TypeOK.

    ``chosen`` gives the fields that are chosen for the run. With ``symmetry``, states that differ by a permutation of
    elements count as one; domains with an element that the module names are not permuted.
    """
    if symmetry and leads_to:
        raise LangError("with symmetry, TLC may miss that something leads to nothing: ask for one of the two")
    if strange := set(chosen or {}) - {field.name for field in model.fields.values() if field.chosen}:
        raise LangError(f"{', '.join(sorted(strange))} cannot be chosen: declare fields as chosen")
    made = _Module(model, ground, fair, leads_to)
    sections = {
        "CONSTANTS": [f"{name} = {value}" for name, value in made.assigned(chosen or {})],
        "SPECIFICATION": ["Spec"],
        "INVARIANTS": [it if it == "TypeOK" else made.names.of["invariant", it] for it in invariants],
        "PROPERTIES": [made.names.of["property", it.name] for it in leads_to],
        "SYMMETRY": ["Symmetry"] if symmetry and made.permuted else [],
    }
    return "".join("\n  ".join((title, *lines)) + "\n" for title, lines in sections.items() if lines)


# ----------------------------------------------------------------------------------------------------- the module


def _tuple(names: Iterable[str]) -> Block:
    return hang("<<", wrap(", ".join(names), WIDTH), ">>")


def _list(bullet: str, items: Iterable[str]) -> Block:
    return [f"{bullet} {item}" for item in items]


def _applied(arguments: Iterable[str]) -> str:
    listed = ", ".join(arguments)
    return f"({listed})" if listed else ""


def _defined(head: str, block: Block) -> Block:
    return ["", f"{head} ==", *hang("  ", block)]


def _declared(word: str, names: Sequence[tuple[str, str]]) -> Block:
    """Names, each with a comment."""
    commas = [","] * (len(names) - 1) + [""]
    rows = (f"  {name}{comma}  \\* {about}" for (name, about), comma in zip(names, commas, strict=True))
    return ["", word, *(row.removesuffix("  \\* ") for row in rows)] if names else []


def _about(thing: Hashable) -> str:
    """What a constant is; what is no constant is nothing."""
    match thing:
        case None:
            return "no element"
        case Domain():
            return "a domain"
        case (Domain(name=name), int()):
            return f"an element of {name}"
        case Duration():
            return "a duration, in ticks"
        case Field(sentence=sentence):
            return f"chosen for each run. {sentence}".rstrip()
    return ""


class _Module(Formulas):
    """All of a module but its name, and the constants that it has."""

    def __init__(self, model: Model, ground: Ground | None, fair: Sequence[Fair], leads_to: Sequence[LeadsTo]) -> None:
        fields = [field for field in model.fields.values() if not field.chosen]
        values = {field.name: tuple(range(field.type.size)) for field in model.fields.values()}
        if ground:
            values = {slot.field.name: slot.values for slot in ground.slots}
        super().__init__({name: numbers[-1] for name, numbers in values.items()})
        self.fold = Folder(values).fold
        self.model = model
        self.varying = [field for field in fields if len(values[field.name]) > 1] or fields
        firing = {id(instance.action) for instance in ground.instances} if ground else set(map(id, model.actions))
        self.actions = [action for action in model.actions if id(action) in firing]
        self._name_all(leads_to)
        steps = [row for action in self.actions for row in self._action(action)]
        body = [*self._fixed(), *self._states(), *steps, *self._behaviour(fair), *self._demands(leads_to)]
        self.constants = {thing: name for thing, name in self.names.of.items() if _about(thing)}
        self.permuted = list(self._permuted())
        if self.permuted:
            body += _defined("Symmetry", [" \\cup ".join(f"Permutations({name})" for name in self.permuted)])
        helpers = ["", *self.helpers.values()] if self.helpers else []
        self.text = "\n".join([*self._head(), *helpers, *body])

    def _name_all(self, leads_to: Sequence[LeadsTo]) -> None:
        """Names that are known from elsewhere come first: all others make way for them."""
        for kind, names in (
            ("field", self.model.fields),
            ("invariant", self.model.invariants),
            ("property", (it.name for it in leads_to)),
        ):
            for name in names:
                self.names.give((kind, name), name)
        for action in self.actions:
            self.names.give(id(action), action.name)

    def _permuted(self) -> Iterator[str]:
        """Domains none of whose elements is special."""
        special = {thing[0] for thing in self.constants if isinstance(thing, tuple)}
        special |= {it.type.domain for it in self.model.fields.values() if it.chosen and isinstance(it.type, Ref)}
        yield from (name for it, name in self.constants.items() if isinstance(it, Domain) and it not in special)

    def _head(self) -> Block:
        variables = [(self.name(it), " ".join(it.sentence.split())) for it in self.varying]
        constants = [(name, _about(thing)) for thing, name in self.constants.items()]
        return [
            *_declared("CONSTANTS", constants),
            *_declared("VARIABLES", variables),
            "",
            *hang("vars == ", _tuple(name for name, _ in variables)),
        ]

    def assigned(self, chosen: Mapping[str, object]) -> Iterator[tuple[str, str]]:
        """The constants and their values."""
        for thing, name in self.constants.items():
            match thing:
                case Domain(size=size):
                    yield name, f"{{{', '.join(self.element(thing, number) for number in range(size))}}}"
                case Duration(ticks=ticks):
                    yield name, str(ticks)
                case Field():
                    value = chosen.get(thing.name, thing.initial)
                    yield name, self.constant(thing.type, number_of(thing.type, value))
                case _:
                    yield name, name

    # --------------------------------------------------------------------------------------------------- the states

    def _fixed(self) -> Iterator[str]:
        """Fields that do not change, as definitions; those that are chosen are constants, or made of one."""
        for field in self.model.fields.values():
            if field.chosen and not field.domains:
                self.names.of[field] = self.name(field)
            elif field.chosen:
                value = self.names.give(field, f"{field.name}_chosen")
                yield from ("", f"{self.name(field)} == {self.everywhere(field, value)}")
            elif field not in self.varying:
                yield from ("", f"{self.name(field)} == {self._initial(field)}  \\* never changes")

    def _initial(self, field: Field) -> str:
        return self.everywhere(field, self.constant(field.type, number_of(field.type, field.initial)))

    def _values(self, field: Field) -> str:
        match field.type:
            case Bool():
                values = "BOOLEAN"
            case Enum(name=wish, values=words):
                values = self.names.give(field.type, "".join(word[:1].upper() + word[1:] for word in wish.split()))
                listed = wrap(", ".join(f'"{word}"' for word in words), WIDTH)
                self.helpers[values] = "\n".join(hang(f"{values} == {{", listed, "}"))
            case Ref(domain=domain, none=none):
                values = self.domain(domain) + (f" \\cup {{{self.none()}}}" if none else "")
            case _:
                values = f"0..{self.most[field.name]}"
        for domain in reversed(field.domains):
            values = f"[{self.domain(domain)} -> {values}]"
        return values

    def _states(self) -> Block:
        types = [f"{self.name(it)} \\in {self._values(it)}" for it in self.varying]
        initial = [f"{self.name(it)} = {self._initial(it)}" for it in self.varying]
        return [*_defined("TypeOK", _list("/\\", types)), *_defined("Init", _list("/\\", initial))]

    # ---------------------------------------------------------------------------------------------------- the steps

    def _action(self, action: Action) -> Block:
        scope, block, changed = self._bound(action.params, Scope({})), [], set()
        name, about = self.names.of[id(action)], action.row or action.name
        if any(update.field.chosen for update in action.updates):
            raise LangError(f"{action.name} writes a field that is chosen for the whole run")
        for guard in parts_of(self.fold(action.guard), "and"):
            compound, asked = shape(guard)[0] in COMPOUND, self.block(guard, scope)
            if guard is not TRUE:
                block += hang("/\\ ", hang(f"{self.helper('Holds')}(", asked, ")") if compound else asked)
            scope = self.learn(guard, True, scope)
        for field in self.varying:
            updates = [self._folded(update) for update in action.updates if update.field == field]
            if updates or (action.ticks and isinstance(field.type, Timer)):
                new = self.written(field, updates, scope) if updates else [self.lapse(field)]
                block += hang(f"/\\ {self.name(field)}' = ", new)
                changed.add(field)
        same = [self.name(field) for field in self.varying if field not in changed]
        block += hang("/\\ UNCHANGED ", _tuple(same) if changed else ["vars"]) if same else []
        comment = f"  \\* {about}" if about != name else ""
        return ["", f"{name}{_applied(scope.params.values())} =={comment}", *hang("  ", block)]

    def _folded(self, update: Update) -> Update:
        return replace(update, index=tuple(map(self.fold, update.index)), value=self.fold(update.value))

    def _bound(self, params: Iterable[Expr], scope: Scope) -> Scope:
        for param in params:
            _, scope = self.bind(param.args[0], param.args[0], scope)
        return scope

    def _ranges(self, params: Sequence[Expr], scope: Scope, quantifier: str) -> str:
        ranges = ", ".join(f"{scope.params[param.args[0]]} \\in {self.domain(domain_of(param))}" for param in params)
        return f"{SYMBOLS[quantifier]} {ranges} : " if params else ""

    def _called(self, action: Action, shared: Sequence[Expr], outer: Scope) -> str:
        own = [param for param in action.params if param not in set(shared)]
        scope = self._bound(own, outer)
        arguments = _applied(scope.params[param.args[0]] for param in action.params)
        return f"{self._ranges(own, scope, 'some')}{self.names.of[id(action)]}{arguments}"

    # ------------------------------------------------------------------------------------- behaviour, what is asked

    def _behaviour(self, fair: Sequence[Fair]) -> Block:
        steps = [self._called(action, (), Scope({})) for action in self.actions]
        block, promises = _defined("Next", _list("\\/", steps or ["FALSE"])), []
        for promise in fair:
            actions = [action for action in self.model.actions if action.name in promise.actions]
            if missing := set(promise.actions) - {action.name for action in actions}:
                raise LangError(f"{promise.name}: the model has no action {', '.join(sorted(missing))}")
            shared = [it for it in actions[0].params if all(it in set(action.params) for action in actions)]
            scope = self._bound(shared, Scope({}))
            operator = self.names.give(("fair", promise.name), promise.name) + _applied(scope.params.values())
            steps = [self._called(action, shared, scope) for action in actions if id(action) in self.names.of]
            if steps:
                block += _defined(operator, _list("\\/", steps))
                kind = "SF" if promise.strong else "WF"
                promises.append(f"{self._ranges(shared, scope, 'every')}{kind}_vars({operator})")
        return [*block, *_defined("Spec", _list("/\\", ["Init", "[][Next]_vars", *promises]))]

    def _demands(self, leads_to: Sequence[LeadsTo]) -> Block:
        block: Block = []
        for name, invariant in self.model.invariants.items():
            block += _defined(self.names.of["invariant", name], self.block(self.fold(invariant), Scope({})))
        for name, *sides in leads_to:
            cause, effect = map(self.fold, sides)
            params = list({**open_in(cause), **open_in(effect)})
            scope = self._bound(params, Scope({}))
            ranges = [[self._ranges(params, scope, "every").rstrip()]] if params else []
            blocks = hang("(", self.block(cause, scope), ")"), hang("~> (", self.block(effect, scope), ")")
            block += _defined(self.names.of["property", name], self.fit(scope, *ranges, *blocks))
        return block
