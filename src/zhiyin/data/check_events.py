"""Rules about what people did: amounts, times, doubles, machines, repeats, numbers far out."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from zhiyin.base.arrays import Float64
from zhiyin.base.units import US_PER_DAY
from zhiyin.data.clean import bursts, robust_scale
from zhiyin.data.findings import Finding, many
from zhiyin.data.look import Look
from zhiyin.data.times import iso
from zhiyin.spacetime.calendar import local_us

PER_MINUTE = 30
FAR = 8.0
EVENT_SHARE_OF_ONE = 0.01


def amounts(look: Look) -> Iterator[Finding]:
    """Too little to learn from."""
    d = look.data
    n_liked = int((d.events.weight > 0).sum())
    if not n_liked:
        yield Finding("bad", "amounts", "No event counts as a sign of liking.", "Look at [weights] and positive_from in zhiyin.toml.")
        return
    if n_liked < len(d.events):
        yield Finding("info", "amounts", f"{n_liked:,} of {many(len(d.events), 'event')} count as a sign of liking.")
    if n_liked < 1_000 or len(look.per_user) < 50:
        yield Finding(
            "warn", "amounts", f"{many(len(look.per_user), 'user')} with {many(n_liked, 'event')} are few: differences will be noise."
        )
    short = float((look.per_user < 3).mean())
    if short > 0.5:
        yield Finding(
            "warn",
            "amounts",
            f"{short:.0%} of the users have fewer than 3 events.",
            "Models of sequences have little to go by there; give session columns, or compare by activity.",
        )
    once = float((look.per_item == 1).mean())
    if once > 0.5:
        yield Finding(
            "info", "amounts", f"{once:.0%} of the items met anyone only once.", "Their text decides: fill titles and descriptions."
        )


def times(look: Look) -> Iterator[Finding]:
    """Times that are no real times: one instant for all, whole days, ties, a few ages away."""
    if not look.timed:
        return
    t = look.data.events.time_us
    n = len(t)
    instants, counts = np.unique(t, return_counts=True)
    top = counts.max() / n
    if n > 100 and top > 0.05:
        yield Finding(
            "bad" if top > 0.5 else "warn",
            "same time",
            f"{top:.0%} of the events carry the same time, {iso(int(instants[counts.argmax()]))}.",
            'It may be the time of an export. If the true times are lost say order = "none".',
        )
    local = local_us(t, look.data.manifest.time_zone)
    if n > 100 and bool((local % US_PER_DAY == 0).all()):
        yield Finding(
            "warn", "dates", "All times are whole days: the order within a day is not known.", "Give times with hours if there are any."
        )
    tied = float(look.tied.mean())
    if tied > 0.05:
        yield Finding(
            "info",
            "tied times",
            f"{tied:.0%} of the events happened at the same time as another of the same user; the order of the file decides.",
            "Baskets are like that; else give events.position.",
        )
    gaps = np.diff(instants)
    if len(gaps) and n > 100:
        widest = int(gaps.argmax())
        before = int(counts[: widest + 1].sum())
        few = min(before, n - before)
        if gaps[widest] > 0.5 * (instants[-1] - instants[0]) and 0 < few < 0.01 * n:
            side = "before" if before == few else "after"
            away = gaps[widest] / US_PER_DAY
            yield Finding(
                "warn",
                "far times",
                f"{many(few, 'event')} lay {away:,.0f} days {side} all others.",
                "Correct or remove them: time splits cut there.",
            )


def duplicates(look: Look) -> Iterator[Finding]:
    """The same act told twice."""
    if not look.timed:
        return
    e = look.data.events
    rows = np.flatnonzero(look.tied)  # only these can be doubles
    columns = [c[rows] for c in (e.kind_ix, e.item_ix, e.user_ix, e.time_us)]
    order = np.lexsort(columns)
    twice = int(np.logical_and.reduce([np.diff(c[order]) == 0 for c in columns]).sum()) if len(rows) else 0
    share = twice / len(e)
    if twice:
        yield Finding(
            "warn" if share > 0.01 else "info",
            "duplicates",
            f"{many(twice, 'event')} ({share:.2%}) repeated user, item, kind and time of another.",
            '[clean] dedupe = "same-time" keeps the first of them, "exact" only where all columns agree.',
        )


def machines(look: Look) -> Iterator[Finding]:
    """Users who act faster or more than people do."""
    e = look.data.events
    if look.timed:
        # A basket is written down at one instant: only acts at different moments count.
        order, _ = look.data.by_user
        user, at = e.user_ix[order], e.time_us[order]
        moment = np.append(True, (np.diff(user) != 0) | (np.diff(at) != 0))
        user, at = user[moment], at[moment]
        fast = bursts(user, at, PER_MINUTE)
        if fast.any():
            who, n = len(np.unique(user[fast])), int(fast.sum())
            yield Finding(
                "warn",
                "bursts",
                f"{many(who, 'user')} acted more than {PER_MINUTE} times within a minute ({many(n, 'moment')} in such bursts).",
                "If these are machines or imports [clean] burst_per_minute leaves them out.",
            )
    per = np.bincount(e.user_ix, minlength=look.data.n_users)
    if len(look.per_user) >= 100:
        typical = max(float(np.median(look.per_user)), 1.0)
        heavy = np.flatnonzero((per > EVENT_SHARE_OF_ONE * len(e)) & (per > 50 * typical))
        if len(heavy):
            first, share = int(heavy[per[heavy].argmax()]), per[heavy].sum() / len(e)
            yield Finding(
                "warn",
                "heavy users",
                f"{many(len(heavy), 'user')} made {share:.0%} of all events; '{look.data.users[first]}' has {per[first]:,}.",
                "Shared accounts or machines: leave them out, or they teach everyone their taste.",
            )


def repeats(look: Look) -> Iterator[Finding]:
    """Does the repeat policy fit what people do?"""
    n = len(look.data.events)
    share = 1 - look.n_pairs / max(n, 1)
    policy = look.data.manifest.repeat.policy
    if policy == "never" and share > 0.1:
        yield Finding(
            "warn",
            "repeats",
            f"{share:.0%} of the events bring an item back to someone who had it, but repeat is never: such acts cannot be foretold.",
            'Say [repeat] policy = "allow" if coming back is wanted.',
        )
    elif policy == "allow" and share < 0.01 and n > 1_000:
        yield Finding(
            "info", "repeats", f"Items come back in {share:.1%} of the events, yet repeat is allow.", 'Say [repeat] policy = "never".'
        )


def numbers(look: Look) -> Iterator[Finding]:
    """Values far from the others, and values that never differ."""
    for name, x in look.numeric.items():
        seen = x[~np.isnan(x)]
        if len(seen) < 20:
            continue
        if bool((seen == seen[0]).all()):
            yield Finding("info", "constant", f"events column '{name}' is {seen[0]:g} in every row.", "It tells nothing: leave it out.")
            continue
        yield from far_out("events", name, seen)


def far_out(table: str, name: str, seen: Float64) -> Iterator[Finding]:
    """Numbers (n,) beyond 8 robust deviations, as they are and on a logarithm: amounts are skewed, and that is no fault."""
    far = np.ones(len(seen), np.bool_)
    for x in (seen, np.sign(seen) * np.log1p(np.abs(seen))):
        middle, scale = robust_scale(x)
        far &= np.abs(x - middle) > FAR * max(scale, 1e-9)
    n, median = int(far.sum()), float(np.median(seen))
    # Where many are far out that is how the numbers are spread.
    if 0 < n <= max(3, 0.01 * len(seen)):
        worst = float(seen[far][np.abs(seen[far] - median).argmax()])
        yield Finding(
            "warn",
            "outliers",
            f"{table} column '{name}' has {many(n, 'value')} far from the others, such as {worst:g} (median {median:g}).",
            f'[clean.outlier] {name} = "clip" or "drop" takes care of them.',
        )
