"""The proofs of the drills: each has to find the protection that it switches off."""

import pytest

from prove import CHECKOUT, MUTATIONS, Mutation


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.drill)
def test_a_proof_finds_the_protection_it_switches_off(mutation: Mutation) -> None:
    text = (CHECKOUT / mutation.file).read_text(encoding="utf-8")
    assert text.count(mutation.old) == 1
