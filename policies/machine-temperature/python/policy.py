"""A machine that stays too hot, or is too cold to run, is in danger or is one: the same
policy as `../src/lib.rs`, in Python."""

import ephor

LEGAL_BASIS = "Regulation (EU) 2023/1230 on machinery, annex III, 1.5.5"

#: Where a state begins: the byte by which the Rust twin knows its own states.
SHAPE = 0xA7


class MachineTemperature(ephor.Policy):
    name = "machine-temperature"
    version = "0.1.0"
    summary = "Flags machines that are too hot for several samples in a row, and samples that are too cold."
    events = ["machine.temperature.measured"]
    fields = {
        "machine": ephor.Field("/data/machine", "text", "follow each machine by itself"),
        "temperature": ephor.Field("/data/temperature", "float", "compare it with the limits"),
    }
    key = ["machine"]
    state_version = 1
    rules = [
        ephor.Rule(
            id="too-hot",
            action="flag",
            severity="high",
            legal_basis=LEGAL_BASIS,
            messages={
                "en": "{machine} is at {temperature}, and has been above {limit} for {samples} samples in a row",
                "zh": "{machine} 温度为 {temperature}，已连续 {samples} 次高于 {limit}",
            },
        ),
        ephor.Rule(
            id="too-cold",
            action="flag",
            severity="medium",
            legal_basis=LEGAL_BASIS,
            messages={
                "en": "{machine} is at {temperature}, below {limit}",
                "zh": "{machine} 温度为 {temperature}，低于 {limit}",
            },
        ),
    ]
    settings_schema = {
        "type": "object",
        "properties": {
            "hot": {"description": "Samples above are hot.", "type": "number"},
            "hot_samples": {
                "description": "So many hot samples in a row are a finding.",
                "type": "integer",
                "minimum": 0,
            },
            "cold": {"description": "Each sample below is a finding.", "type": "number"},
        },
        "required": ["hot", "hot_samples", "cold"],
        "additionalProperties": False,
    }

    def configure(self, settings, refuse):
        self.hot, self.cold = float(settings["hot"]), float(settings["cold"])
        self.hot_samples = int(settings["hot_samples"])
        if self.hot_samples == 0:
            refuse("/hot_samples", "expected 1 or more")
        if self.cold > self.hot:
            refuse("/cold", "expected no more than `hot`")

    def evaluate(self, sample, state, out):
        machine, temperature = sample["machine"], sample["temperature"]
        row = decoded(state)
        if temperature > self.hot:
            row += 1
            # Once for each time that it is hot, however long.
            if row == self.hot_samples:
                out.find("too-hot", machine=machine, temperature=temperature, limit=self.hot, samples=self.hot_samples)
        else:
            row = 0
        if temperature < self.cold:
            out.find("too-cold", machine=machine, temperature=temperature, limit=self.cold)
        return encoded(row)


def encoded(count):
    """Hot samples in a row, as the Rust twin writes them: a release in one language can
    take over the states of one in the other."""
    if count == 0:
        return None
    digits = bytearray([SHAPE])
    while count >= 0x80:
        digits.append(count & 0x7F | 0x80)
        count >>= 7
    digits.append(count)
    return bytes(digits)


def decoded(state):
    if state is None:
        return 0
    if state[0] != SHAPE:
        raise ValueError("the state is not one of this policy")
    return sum((digit & 0x7F) << (7 * place) for place, digit in enumerate(state[1:]))


WitWorld = ephor.world(MachineTemperature)
