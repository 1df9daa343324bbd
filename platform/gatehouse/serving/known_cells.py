"""Texts and numbers that an estimator knows by heart: categories and words. Rows without them would try only what it does not know."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from gatehouse.serving.shape import NUMERIC_TYPES, Cell, FeatureShape

_BETWEEN = (" ", " ", " ", ", ", "-", "\n", "  ", "; ", "'")
_UNKNOWN_WORDS = ("of", "Straße", "ÀÉÎ", "x", "42", "snake_case", "日本語", "ΟΔΟΣ")
_MOST_WORDS = 12
_NUMBER_SHARE = 0.1


@dataclass(frozen=True, slots=True)
class KnownCells:
    """`texts`: categories; `words`: those of text vectorizers; `numbers`: categories that are numbers."""

    texts: Sequence[str] = ()
    words: Sequence[str] = ()
    numbers: Sequence[float] = ()

    def tried_for(self, feature: FeatureShape) -> bool:
        """Whether drawn cells of this feature may be some of these."""
        if feature.allowed or feature.type == "boolean":
            return False
        return bool(self.numbers if feature.type in NUMERIC_TYPES else self.texts or self.words)

    def mixed_into(self, cells: list[Cell], feature: FeatureShape, low: float, high: float, random: np.random.Generator) -> None:
        """Puts some of these in the place of some drawn cells; numbers that lie between the bounds, and their neighbours."""
        if not self.tried_for(feature):
            return
        if feature.type in NUMERIC_TYPES:
            self._put_numbers(cells, feature, low, high, random)
            return
        for place, dice in enumerate(random.random(len(cells))):
            if dice < 0.3 and self.texts:
                cells[place] = self.texts[int(random.integers(len(self.texts)))]
            elif dice < 0.8 and self.words:
                cells[place] = self._sentence(random)

    def _put_numbers(self, cells: list[Cell], feature: FeatureShape, low: float, high: float, random: np.random.Generator) -> None:
        # float32 takes whole numbers beyond 2**24 for their neighbours
        near = [number + step for number in self.numbers for step in ((0, -1, 1) if number == int(number) else (0,))]
        fitting = [number for number in near if low <= number <= high and (feature.type != "integer" or number == int(number))]
        if fitting:
            for place in np.flatnonzero(random.random(len(cells)) < _NUMBER_SHARE):
                cells[place] = float(fitting[int(random.integers(len(fitting)))])

    def _sentence(self, random: np.random.Generator) -> str:
        words = [self._word(random) for _ in range(int(random.integers(1, _MOST_WORDS)))]
        return "".join(word + _BETWEEN[int(random.integers(len(_BETWEEN)))] for word in words)

    def _word(self, random: np.random.Generator) -> str:
        dice = random.random()
        if dice < 0.1:
            return _UNKNOWN_WORDS[int(random.integers(len(_UNKNOWN_WORDS)))]
        word = self.words[int(random.integers(len(self.words)))]
        return word.upper() if dice < 0.2 else word.capitalize() if dice < 0.4 else word


NOTHING_KNOWN = KnownCells()
