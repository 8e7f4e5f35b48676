"""What a client has sent, compared with what the topic holds."""

import json
from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any

from patience import holds

Interaction = dict[str, Any]
ReadInteractions = Callable[[str], list[Interaction]]

# Properties or traits of every event besides `run` and `nonce`; node/sending.cjs has the same. Some SDKs drop nulls.
VALUES = {"price": 12.5, "tags": ["blå", "\U0001f6d2"], "nested": {"is_member": True, "visits": 0}}


@dataclass(frozen=True)
class SentEvent:
    """An event as its client describes it; its nonce is in its properties or traits, of an alias the previous id.

    `message_id` is None if the SDK does not tell it, `member_id` if the event was sent without one.
    """

    type: str
    nonce: str
    name: str | None = None
    member_id: str | None = None
    message_id: str | None = None


def wait_for_arrival(read_interactions: ReadInteractions, run: str, sent: Collection[SentEvent]) -> list[Interaction]:
    """What the topic holds of a run as soon as it holds every event that was sent."""
    found: list[Interaction] = []

    def has_all() -> bool:
        found[:] = read_interactions(run)
        return {event.nonce for event in sent} <= {read_nonce(interaction) for interaction in found}

    arrived = holds(has_all)
    missing = {event.nonce for event in sent} - {read_nonce(interaction) for interaction in found}
    assert arrived, f"{len(missing)} of {len(sent)} events did not arrive, among them {sorted(missing)[:5]}"
    return found


def check_arrived_once(interactions: Collection[Interaction], sent: Collection[SentEvent]) -> None:
    """Check that every event arrived under one message id, and nothing else did.

    The topic may hold a message id more than once, because an SDK that got no response sends its message again.
    """
    by_id = {interaction["message_id"]: interaction for interaction in interactions}
    assert None not in by_id
    assert Counter(map(read_nonce, by_id.values())) == Counter(event.nonce for event in sent)
    by_nonce = {read_nonce(interaction): interaction for interaction in by_id.values()}
    for event in sent:
        check_content(by_nonce[event.nonce], event)


def check_content(interaction: Interaction, event: SentEvent) -> None:
    """Check that an interaction says what its client sent."""
    assert (interaction["type"], interaction["name"]) == (event.type, event.name)
    assert interaction["occurred_at"] is not None
    if event.message_id is not None:
        assert interaction["message_id"] == event.message_id
    if event.member_id is not None:
        assert interaction["member_id"] == event.member_id
    if event.type != "alias":
        properties = json.loads(interaction["properties"])
        assert {name: properties.get(name) for name in VALUES} == VALUES, f"{event.nonce} has {properties}"


def read_nonce(interaction: Interaction) -> str | None:
    nonce: str | None
    if interaction["type"] == "alias":
        nonce = interaction["previous_id"]
    else:
        nonce = json.loads(interaction["properties"] or "{}").get("nonce")
    return nonce
