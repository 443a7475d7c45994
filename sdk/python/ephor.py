"""Write a supervision policy for Ephor in Python.

A policy is a class with a declaration and functions that judge one row; `world` makes
the exports of the contract out of it:

    import ephor

    class OrderLimit(ephor.Policy):
        name = "order-limit"
        ...

    WitWorld = ephor.world(OrderLimit)

`ephor policy build` puts this file beside the policy.

A policy is a function of its settings, fields and state. It has no clock, no
randomness, no network and no files: in the component that `ephor policy build` makes
all of them trap, and the row is undetermined. The order of a set is the same in every
call, but another one in every build.
"""

import json
import sys
import types
from dataclasses import dataclass, field
from decimal import Decimal

import wit_world
from componentize_py_types import Err
from wit_world.imports import evaluation, log, manifest, settings


@dataclass
class Field:
    """One value of an event: a JSON Pointer into it, what it is, why it is needed."""

    pointer: str
    #: boolean, integer, float, text, time (microseconds since 1970) or json (its text)
    kind: str
    purpose: str
    required: bool = True
    #: plain, pseudonym, mask or coarse
    form: str = "plain"


@dataclass
class Rule:
    """One clause. The messages are by language; the first is the default."""

    id: str
    #: flag or deny
    action: str
    #: low, medium, high or critical
    severity: str
    legal_basis: str
    messages: dict[str, str] = field(default_factory=dict)


class Policy:
    """What a policy says about itself, and how it judges one row."""

    name: str
    version: str
    summary: str
    #: types of events; `*` is any run of characters
    events: list[str]
    #: by the name that they have in a row
    fields: dict[str, Field]
    rules: list[Rule]
    #: names of reference lists; look things up with `wit_world.imports.reference`
    lists: list[str] = []
    #: JSON Schema (draft 2020-12)
    settings_schema: dict = {}
    #: names of required fields; none for a policy that remembers nothing
    key: list[str] = []
    state_version: int = 1
    migrates_from: list[int] = []
    resets: bool = False
    timers: bool = False

    def configure(self, settings, refuse):
        """Takes the settings. `refuse(pointer, message)` says what is wrong with them."""

    def evaluate(self, row, state, out):
        """Judges one row: a dict of the fields, in which what is absent is None.

        `state` is that of the row's key, as bytes, or None; what is returned is what it
        has become.
        """
        raise NotImplementedError

    def wake(self, at, state, out):
        """A timer of the key fires; `at` is in microseconds since 1970."""
        raise NotImplementedError

    def migrate(self, version, state):
        """A state of this version out of one of another; None for none.

        Raises ValueError with the reason if it cannot be taken over.
        """
        raise NotImplementedError


class Out:
    """Takes what a policy says about the row at hand. Nothing said: it is clean."""

    def __init__(self, rules):
        self._rules = {rule.id: index for index, rule in enumerate(rules)}
        self.findings, self.undecided_rows, self.timers = [], [], []
        self._turn_to(0)

    def _turn_to(self, row):
        self._row, self._first, self._reason, self._timer = row, len(self.findings), None, None

    def _close(self):
        """Ends the row; says whether it is undecided."""
        if self._reason is not None:
            del self.findings[self._first :]
            self.undecided_rows.append(evaluation.Undecided(self._row, self._reason))
            return True
        if self._timer is not None:
            self.timers.append(self._timer)
        return False

    def find(self, rule, **evidence):
        """A finding of a rule, with what it rests on: texts, numbers, booleans."""
        values = [evaluation.Evidence(name, text(value)) for name, value in evidence.items()]
        self.findings.append(evaluation.Finding(self._row, self._rules[rule], values))

    def undecided(self, reason):
        """The row cannot be judged, and why, in one sentence. Nothing else of it remains."""
        if self._reason is None:
            self._reason = reason

    def wake_at(self, at):
        """Asks to be woken for the row's key, at a time in microseconds since 1970."""
        self._timer = evaluation.Timer(self._row, at)

    def wake_never(self):
        """Takes back the wish to be woken."""
        self._timer = evaluation.Timer(self._row, None)


def text(value):
    """The text of a piece of evidence: numbers in the fewest digits, without exponent."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        if value != value or value in (float("inf"), float("-inf")):
            raise ValueError(f"{value} cannot be evidence")
        digits = format(Decimal(repr(value)), "f")
        return digits[:-2] if digits.endswith(".0") else digits
    if isinstance(value, (str, int)):
        return str(value)
    raise TypeError(f"evidence is a text, a number or a boolean, not {type(value).__name__}")


def world(policy):
    """The exports of the contract, for a policy's class; to be called `WitWorld`."""
    it = policy()
    names = list(it.fields)

    def judged(rows, states, key_of, judge):
        out = Out(it.rules)
        changed = {}
        for row in range(rows):
            out._turn_to(row)
            if states is None:
                judge(row, out, None)
                out._close()
                continue
            key = key_of(row)
            after = judge(row, out, changed.get(key, states[key]))
            if not out._close():
                changed[key] = after
        said = [evaluation.ChangedState(key, state) for key, state in changed.items() if state != states[key]]
        return evaluation.Outcome(out.findings, out.undecided_rows, said, out.timers)

    class WitWorld(wit_world.WitWorld):
        @_loudly
        def describe(self):
            return manifest.Manifest(
                name=it.name,
                version=it.version,
                summary=it.summary,
                events=it.events,
                fields=[
                    manifest.Field(
                        one.pointer, manifest.Kind[one.kind.upper()], one.required, one.purpose, manifest.Form[one.form.upper()]
                    )
                    for one in it.fields.values()
                ],
                keyed=manifest.Keyed(
                    [names.index(name) for name in it.key], it.state_version, it.migrates_from, it.resets, it.timers
                )
                if it.key
                else None,
                rules=[
                    manifest.Rule(
                        rule.id,
                        manifest.Action[rule.action.upper()],
                        manifest.Severity[rule.severity.upper()],
                        rule.legal_basis,
                        [manifest.Message(language, text) for language, text in rule.messages.items()],
                    )
                    for rule in it.rules
                ],
                lists=it.lists,
                settings_schema=json.dumps(it.settings_schema),
            )

        @_loudly
        def configure(self, document):
            errors = []
            it.configure(json.loads(document), lambda pointer, message: errors.append(settings.SettingsError(pointer, message)))
            if errors:
                raise Err(errors)

        @_loudly
        def evaluate(self, batch):
            columns = [_values(column.value, batch.rows) for column in batch.columns]

            def judge(row, out, state):
                return it.evaluate({name: column[row] for name, column in zip(names, columns)}, state, out)

            keys = batch.keys
            if keys is None:
                return judged(batch.rows, None, None, judge)
            return judged(batch.rows, keys.states, keys.of_row.__getitem__, judge)

        @_loudly
        def wake(self, wakes):
            return judged(
                len(wakes.at), wakes.states, lambda row: row, lambda row, out, state: it.wake(wakes.at[row], state, out)
            )

        @_loudly
        def migrate(self, version, states):
            try:
                return [it.migrate(version, state) for state in states]
            except ValueError as problem:
                raise Err(str(problem))

    return WitWorld


def _values(column, rows):
    """The value of each row."""
    present = column.present
    if hasattr(column, "offsets"):
        offsets, joined = column.offsets, column.text
        # Offsets count bytes of UTF-8; where all is ASCII they count characters too.
        if joined.isascii():
            values = [joined[offsets[row] : offsets[row + 1]] for row in range(rows)]
        else:
            joined = joined.encode()
            values = [joined[offsets[row] : offsets[row + 1]].decode() for row in range(rows)]
    elif isinstance(column.values, (bytes, bytearray)):
        values = [bool(column.values[row >> 3] >> (row & 7) & 1) for row in range(rows)]
    else:
        values = column.values
    return [values[row] if present[row >> 3] >> (row & 7) & 1 else None for row in range(rows)]


class _Absent(types.ModuleType):
    """A module that a policy must not have."""

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        if name == "seed":
            # The build calls it when it has loaded the policy.
            return lambda *_: None
        raise RuntimeError(f"a policy has no randomness, and so no {self.__name__}.{name}")


if sys.platform == "wasi":
    # They would go on from a seed of the build, from row to row: what is said about one
    # row would depend on how many come before it.
    for name in ("random", "secrets"):
        sys.modules[name] = _Absent(name)


def _loudly(function):
    """Says in the log what went wrong, because a trap has no words."""

    def call(*args):
        try:
            return function(*args)
        except Err:
            raise
        except Exception as problem:
            log.write(log.Level.WARN, f"{function.__name__}: {type(problem).__name__}: {problem}")
            raise

    return call
