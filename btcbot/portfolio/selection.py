"""The universe over time: refreshed on a schedule, slow to change, still when the data is bad.

A pair that leaves rests before it may come back; one that comes has to rank for some refreshes in
a row; and no more than so many changes are made in any 24 hours. What is in already is held to
none of these: it stays while it ranks. A refresh that is put off leaves everything as it was and
is due again at once.
"""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Annotated, Final

from msgspec import Meta, Struct, field

from btcbot.domain.ids import Pair
from btcbot.portfolio.bounds import check_amounts
from btcbot.portfolio.features import Features
from btcbot.portfolio.moves import Judged, moves
from btcbot.portfolio.reasons import Exclusion, Freeze, Missing
from btcbot.portfolio.scores import Score, ScoreRules, judge
from btcbot.portfolio.universe import (
    Candidate,
    Excluded,
    PairRules,
    barred,
    by_pair,
)

MINUTE_NS: Final = 60_000_000_000
DAY_NS: Final = 24 * 60 * MINUTE_NS


class SelectionRules(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How often, how fast and by what the universe changes."""

    pairs: PairRules = PairRules()
    score: ScoreRules = ScoreRules()
    size: Annotated[int, Meta(ge=0, le=100)] = 5
    refresh_min: Annotated[int, Meta(ge=1, le=1_440)] = 60
    probation: Annotated[int, Meta(ge=1, le=48)] = 2  # Refreshes in a row, the present one too.
    rest_min: Annotated[int, Meta(ge=0, le=10_080)] = 360  # After leaving.
    changes_max: Annotated[int, Meta(ge=0, le=1_000)] = 4  # Coming or leaving, in 24 hours.
    stale_share_max: Decimal = Decimal("0.5")  # Of the followed candidates; more of them freezes.
    stale_keep_min: Annotated[int, Meta(ge=0, le=1_440)] = 60  # A member's quote may be so old.

    def __post_init__(self) -> None:
        check_amounts(self)


class Selection(Struct, frozen=True, kw_only=True):
    """What is remembered between refreshes; bounded by the pairs the exchange lists."""

    members: tuple[Pair, ...] = ()  # By name.
    seen: Mapping[Pair, int] = field(default_factory=dict)  # Refreshes in a row each ranked.
    resting: Mapping[Pair, int] = field(default_factory=dict)  # Until when each rests.
    changed_ns: tuple[int, ...] = ()  # The last `changes_max`: who came or left, and when.
    refreshed_ns: int | None = None  # The last refresh that was carried out; None: none yet.


class Sight(Struct, frozen=True, kw_only=True):
    """What a refresh looks at. `resting` None: it could not be read."""

    candidates: Sequence[Candidate]
    resting: Mapping[Pair, int] | None
    rejects: Mapping[Pair, int] = field(default_factory=dict)
    is_degraded: bool = False  # The exchange or our view of it is in trouble.


class Refresh(Struct, frozen=True, kw_only=True):
    """The outcome: `selection.members` are the universe; the rest says why."""

    selection: Selection
    is_refreshed: bool = False
    freeze: Freeze | None = None
    came: tuple[Pair, ...] = ()
    left: tuple[Pair, ...] = ()
    scores: tuple[Score, ...] = ()  # Best first.
    excluded: tuple[Excluded, ...] = ()  # By pair.


def is_due(rules: SelectionRules, selection: Selection, now_ns: int) -> bool:
    """Return whether to refresh: a period after the last carried out, or with too many members.

    With no member at all it is always due: nobody knew anything yet, at a start, and an hour later
    is no better time to ask again than a moment.
    """
    last_ns = selection.refreshed_ns
    if last_ns is None or not 0 < len(selection.members) <= rules.size:
        return True
    return now_ns - last_ns >= rules.refresh_min * MINUTE_NS


def refresh(rules: SelectionRules, selection: Selection, sight: Sight, now_ns: int) -> Refresh:
    """Return the universe of `now_ns`: the same as before unless a refresh is due and possible."""
    if not is_due(rules, selection, now_ns):
        return Refresh(selection=selection)
    candidates = by_pair(sight.candidates)
    freeze = _freeze(rules, candidates, sight)
    if freeze is not None:
        return Refresh(selection=selection, freeze=freeze)
    ranked, out, hard = _judge(rules, selection, candidates, sight, now_ns)
    judged = _sort(rules, selection, ranked, hard, _kept(rules, selection, candidates, now_ns))
    return _change(rules, selection, judged, out, now_ns)


def _freeze(rules: SelectionRules, candidates: Sequence[Candidate], sight: Sight) -> Freeze | None:
    """Return why nothing may change; a few stale pairs are left out and freeze nothing."""
    if sight.is_degraded:
        return Freeze.DEGRADED
    if sight.resting is None:
        return Freeze.COOLDOWN_UNKNOWN
    followed = [c.features for c in candidates if c.features is not None]
    old = sum(1 for features in followed if _is_stale(features))
    return Freeze.STALE_SHARE if old > rules.stale_share_max * len(followed) else None


def _judge(
    rules: SelectionRules,
    selection: Selection,
    candidates: Sequence[Candidate],
    sight: Sight,
    now_ns: int,
) -> tuple[list[Score], dict[Pair, Excluded], dict[Pair, Excluded]]:
    """Return the scores, best first, what bars the others, and of those who may never stay."""
    listed = {candidate.instrument.pair for candidate in candidates}
    hard = {
        pair: Excluded(pair, Exclusion.NO_RULES) for pair in selection.members if pair not in listed
    }
    ranked: list[Score] = []
    out: dict[Pair, Excluded] = {}
    rests = dict(selection.resting)
    for pair, until_ns in (sight.resting or {}).items():
        rests[pair] = max(until_ns, rests.get(pair, 0))
    for candidate in candidates:
        pair = candidate.instrument.pair
        bar = barred(rules.pairs, candidate.instrument, rests, now_ns)
        if bar is not None:
            hard[pair] = bar
            continue
        found = judge(rules.score, pair, candidate.features, sight.rejects.get(pair, 0))
        if isinstance(found, Score):
            ranked.append(found)
        else:
            out[pair] = found
    ranked.sort(key=lambda row: (-row.value, row.pair))
    return ranked, out | hard, hard


def _kept(
    rules: SelectionRules, selection: Selection, candidates: Sequence[Candidate], now_ns: int
) -> list[Pair]:
    """Return the members that may stay through a stale quote: a hiccup costs no place."""
    members = frozenset(selection.members)
    return [
        candidate.instrument.pair
        for candidate in candidates
        if candidate.instrument.pair in members
        and candidate.features is not None
        and candidate.features.quoted_ns is not None
        and _is_stale(candidate.features)
        and now_ns - candidate.features.quoted_ns <= rules.stale_keep_min * MINUTE_NS
    ]


def _is_stale(features: Features) -> bool:
    return Missing.STALE_QUOTE in features.missing


def _sort(
    rules: SelectionRules,
    selection: Selection,
    ranked: list[Score],
    hard: Mapping[Pair, Excluded],
    kept: list[Pair],
) -> Judged:
    """Sort the members by what may become of them."""
    best = [row.pair for row in ranked[: rules.size]]
    scored = {row.pair for row in ranked}
    must = [pair for pair in selection.members if pair in hard]
    staying = [pair for pair in selection.members if pair not in hard]
    through = [pair for pair in kept if pair not in hard]
    unfit = [pair for pair in staying if pair not in scored and pair not in through]
    members = frozenset(staying)
    worst = [row.pair for row in reversed(ranked[rules.size :]) if row.pair in members]
    # Fewer places than members: so many leave at once, the least fit first.
    surplus = max(len(staying) - rules.size, 0)
    must += [*unfit, *through, *worst][:surplus]
    return Judged(
        ranked=ranked,
        best=best,
        must_leave=must,
        unfit=[pair for pair in unfit if pair not in must],
        beaten=[pair for pair in worst if pair not in must],
    )


def _change(
    rules: SelectionRules,
    selection: Selection,
    judged: Judged,
    out: Mapping[Pair, Excluded],
    now_ns: int,
) -> Refresh:
    seen = {pair: selection.seen.get(pair, 0) + 1 for pair in sorted(judged.best)}
    inside = frozenset(selection.members)
    is_first = not inside  # Nothing to trade: whoever is fit may come at once.
    arrivals = [
        pair
        for pair in judged.best
        if pair not in inside and (is_first or seen[pair] >= rules.probation)
    ]
    recent = tuple(t for t in selection.changed_ns if now_ns - t < DAY_NS)
    room = rules.changes_max - len(recent) - len(judged.must_leave)
    places = rules.size - len(selection.members) + len(judged.must_leave)
    came, left = (arrivals, []) if is_first else moves(judged, arrivals, places, room)
    gone = [*judged.must_leave, *left]
    changes = 0 if is_first else len(came) + len(gone)
    changed = (*recent, *([now_ns] * changes))
    rests = {pair: until_ns for pair, until_ns in selection.resting.items() if until_ns > now_ns}
    rests |= dict.fromkeys(gone, now_ns + rules.rest_min * MINUTE_NS)
    members = [pair for pair in selection.members if pair not in gone] + came
    after = Selection(
        members=tuple(sorted(members)),
        seen=seen,
        resting={pair: rests[pair] for pair in sorted(rests)},
        changed_ns=changed[max(len(changed) - rules.changes_max, 0) :],
        refreshed_ns=now_ns,
    )
    return Refresh(
        selection=after,
        is_refreshed=True,
        came=tuple(sorted(came)),
        left=tuple(sorted(gone)),
        scores=tuple(judged.ranked),
        excluded=_excluded(judged, out, after, arrivals),
    )


def _excluded(
    judged: Judged, out: Mapping[Pair, Excluded], after: Selection, arrivals: list[Pair]
) -> tuple[Excluded, ...]:
    """Return every pair that is not in, and why; each once, by pair."""
    inside, best = frozenset(after.members), frozenset(judged.best)
    found = {pair: why for pair, why in out.items() if pair not in inside}
    for row in judged.ranked:
        if row.pair not in inside:
            reason = Exclusion.PROBATION if row.pair in best else Exclusion.RANK
            reason = Exclusion.CHURN_CAP if row.pair in arrivals else reason
            found[row.pair] = Excluded(row.pair, reason)
    return tuple(found[pair] for pair in sorted(found))
