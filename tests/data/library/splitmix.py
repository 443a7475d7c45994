"""Numbers that are the same on any Python: SplitMix64, for synthetic events."""

MASK = (1 << 64) - 1


class Random:
    def __init__(self, seed):
        self.state = seed

    def next(self):
        self.state = (self.state + 0x9E3779B97F4A7C15) & MASK
        z = self.state
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
        return z ^ (z >> 31)

    def between(self, low, high):
        """A whole number, both included."""
        return low + self.next() % (high - low + 1)

    def shuffle(self, items):
        for at in range(len(items) - 1, 0, -1):
            other = self.next() % (at + 1)
            items[at], items[other] = items[other], items[at]
