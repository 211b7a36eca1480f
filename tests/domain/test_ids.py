"""Ids are derived: the same decision has the same id, another one has another."""

import re

from hypothesis import given
from hypothesis import strategies as st

from btcbot.domain.ids import client_order_id, instance_tag, intent_id, is_ours

names = st.text("abcdefghijklmnopqrstuvwxyz_", min_size=1, max_size=20)
numbers = st.integers(0, 2**63 - 1)
decisions = st.tuples(names, numbers, numbers, st.integers(0, 100))


@given(decisions)
def test_an_intent_id_is_26_characters_and_the_same_every_time(
    decision: tuple[str, int, int, int],
) -> None:
    made = intent_id(*decision)
    assert re.fullmatch("[a-z2-7]{26}", made)
    assert intent_id(*decision) == made


@given(decisions, decisions)
def test_two_decisions_have_two_ids(
    one: tuple[str, int, int, int], other: tuple[str, int, int, int]
) -> None:
    assert (intent_id(*one) == intent_id(*other)) is (one == other)


def test_ids_survive_a_new_build() -> None:
    # Written down: a change of the derivation would open second orders under old decisions.
    assert intent_id("profit_aware", 7, 42, 0) == "rkpfrnlet23bm54sz3j3ygossi"


def test_a_client_order_id_names_the_installation_and_the_intent() -> None:
    tag = instance_tag("/home/somebody")
    intent = intent_id("profit_aware", 1, 1, 0)
    label = client_order_id(tag, intent)
    assert re.fullmatch(r"b1-[a-z2-7]{5}-[a-z2-7]{26}", label)
    assert len(label) == 35
    assert is_ours(label, tag)


def test_what_others_label_is_not_ours() -> None:
    intent = intent_id("profit_aware", 1, 1, 0)
    label = client_order_id("aaaaa", intent)
    assert not is_ours(label, "bbbbb")
    assert not is_ours(f"x{label}", "aaaaa")
    assert not is_ours("", "aaaaa")
    assert not is_ours("b1-aaaaab-x", "aaaaa")
