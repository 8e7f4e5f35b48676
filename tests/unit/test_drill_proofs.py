"""The mutations that prove the drills can be applied to the code."""

import pytest

from prove import CHECKOUT, MUTATIONS, Mutation


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.drill)
def test_a_mutation_matches_the_code(mutation: Mutation) -> None:
    text = (CHECKOUT / mutation.file).read_text(encoding="utf-8")
    assert text.count(mutation.old) == 1
