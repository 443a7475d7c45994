"""The helper without a component. What `componentize-py bindings` makes of `wit/` has to
be importable, in the place of a host's:

    componentize-py --wit-path wit --world policy bindings DIR
    PYTHONPATH=DIR python3 -B sdk/python/test_ephor.py
"""

import unittest

import ephor
from componentize_py_types import Err
from wit_world.imports import columns, evaluation, log


class Orders(ephor.Policy):
    name = "orders"
    version = "0.1.0"
    summary = "Counts orders."
    events = ["*"]
    fields = {
        "shop": ephor.Field("/data/shop", "text", "count by shop"),
        "paid": ephor.Field("/data/paid", "boolean", "leave out what is not paid", required=False),
        "amount": ephor.Field("/data/amount", "float", "say it", required=False, form="coarse"),
    }
    rules = [ephor.Rule("third", "flag", "low", "none", {"en": "{n}", "zh": "{n}"})]
    key = ["shop"]
    state_version = 2
    migrates_from = [1]
    timers = True

    def configure(self, settings, refuse):
        self.limit = settings["limit"]
        if self.limit < 1:
            refuse("/limit", "expected 1 or more")

    def evaluate(self, row, state, out):
        n = (state[0] if state else 0) + 1
        out.find("third", n=n, shop=row["shop"])
        if row["amount"] is None:
            out.undecided("no amount")
        if row["paid"] is False:
            raise RuntimeError(f"{row['shop']} did not pay")
        out.wake_at(n)
        return None if n == self.limit else bytes([n])

    def wake(self, at, state, out):
        out.find("third", at=at)
        return state

    def migrate(self, version, state):
        if len(state) > 1:
            raise ValueError("too long")
        return state or None


def batch(paid, amounts):
    texts = columns.Texts(b"\xff", [0, 1, 6, 7, 8], "a刀éaa")
    return evaluation.Batch(
        4,
        [
            columns.Column_Texts(texts),
            columns.Column_Booleans(columns.Booleans(b"\x0f", bytes([paid]))),
            columns.Column_Floats(columns.Floats(bytes([amounts]), [1.5, 2.0, 0.0, 1e21])),
        ],
        evaluation.Keys([0, 1, 0, 0], [b"\1", None]),
    )


class Test(unittest.TestCase):
    def setUp(self):
        self.lines = []
        log.write = lambda level, line: self.lines.append(line)
        self.world = ephor.world(Orders)()
        self.world.configure('{"limit": 3}')

    def test_a_declaration_becomes_the_manifest(self):
        manifest = self.world.describe()
        keyed = manifest.keyed
        self.assertEqual((keyed.key, keyed.state_version, keyed.migrates_from, keyed.timers), ([0], 2, [1], True))
        self.assertEqual([field.form.name for field in manifest.fields], ["PLAIN", "PLAIN", "COARSE"])
        self.assertEqual([message.language for message in manifest.rules[0].messages], ["en", "zh"])

    def test_settings_are_refused_with_their_place(self):
        with self.assertRaises(Err) as refused:
            self.world.configure('{"limit": 0}')
        self.assertEqual(refused.exception.value[0].pointer, "/limit")
        self.assertEqual(self.lines, [], "which is no failure")

    def test_rows_of_a_key_see_each_others_state_and_an_undecided_one_leaves_nothing(self):
        said = self.world.evaluate(batch(15, 0b1011))
        found = [(finding.row, *(one.value for one in finding.evidence)) for finding in said.findings]
        self.assertEqual(found, [(0, "2", "a"), (1, "1", "刀é"), (3, "3", "a")])
        self.assertEqual([(row.row, row.reason) for row in said.undecided], [(2, "no amount")])
        self.assertEqual([(state.key, state.state) for state in said.states], [(0, None), (1, b"\1")])
        self.assertEqual([(timer.row, timer.at) for timer in said.timers], [(0, 2), (1, 1), (3, 3)])

    def test_what_goes_wrong_is_in_the_log(self):
        with self.assertRaises(RuntimeError):
            self.world.evaluate(batch(0b1101, 15))
        self.assertEqual(self.lines, ["evaluate: RuntimeError: 刀é did not pay"])

    def test_timers_fire_and_states_migrate_all_or_none(self):
        woken = self.world.wake(evaluation.Wakes([7], [b"\1"]))
        self.assertEqual((woken.findings[0].evidence[0].value, woken.states), ("7", []))
        self.assertEqual(self.world.migrate(1, [b"\4", b""]), [b"\4", None])
        with self.assertRaises(Err) as refused:
            self.world.migrate(1, [b"\1\2"])
        self.assertEqual(refused.exception.value, "too long")

    def test_numbers_are_written_as_the_rust_sdk_writes_them(self):
        written = [ephor.text(value) for value in (100.0, -0.0, 1.5, 1e21, 1.25e-7, 10**18, True)]
        expected = ["100", "-0", "1.5", "1000000000000000000000", "0.000000125", "1000000000000000000", "true"]
        self.assertEqual(written, expected)
        with self.assertRaises(ValueError):
            ephor.text(float("nan"))


if __name__ == "__main__":
    unittest.main()
