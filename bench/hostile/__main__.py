"""`python -m bench.hostile`: attacks a server of this machine in several ways while calls go on, and says how those fared.

Exit status 0 when 99 of 100 re-INVITEs and BYEs were answered within 100 ms in every attack, none failed, the server was empty at
rest, and held no more than `--margin` megabytes beyond what it held after a few calls, before the first attack. With
`--rounds` the attacks come so often, and what counts instead is that the size at rest grows by no more than `--growth` megabytes
a round.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path

from bench.hostile.running import (
    ATTACKS,
    GROWTH,
    MARGIN,
    Outcome,
    attack,
    growth,
    rest,
    returned,
    settled,
    started,
)

# Seconds of calls alone, before anything is measured: code and tables that every server needs.
_WARM_UP = 3.0


def _show(outcome: Outcome) -> None:
    print(f"{outcome.attack}: {'good' if outcome.is_good else 'NOT GOOD'}")
    for kind, figures in outcome.times.items():
        print(
            f"  {kind:10} {figures['count']:6.0f}  p50 {figures['p50']:7.1f} ms  p99 {figures['p99']:7.1f} ms"
            f"  longest {figures['longest']:7.1f} ms"
        )
    print(f"  failed {outcome.failed}, repeated {outcome.repeated}")
    print("  resident " + ", ".join(f"{when} {size:.1f} MB" for when, size in outcome.resident.items()))
    for said in outcome.generators:
        print("  generator " + ", ".join(f"{name} {value:,.1f}" for name, value in said.items()))
    wanted = ("dropped", "refused", "passed", "repeats", "udp_received", "udp_kernel", "connections", "bans")
    counted = {name: value for name, value in outcome.changed.items() if name.startswith(wanted)}
    print("  counted " + ", ".join(f"{name} {value:,}" for name, value in counted.items()), flush=True)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.hostile", description=__doc__)
    parser.add_argument("attacks", nargs="*", help=f"of {', '.join(ATTACKS)}; every one without a name")
    parser.add_argument("--seconds", type=float, default=20.0, help="how long each lasts")
    parser.add_argument("--way", choices=["embedded", "connected"], default="embedded")
    parser.add_argument("--garbage", type=float, default=50_000, help="datagrams a second")
    parser.add_argument("--invites", type=float, default=2_000, help="INVITEs a second, from 20,000 sources")
    parser.add_argument("--slow", type=float, default=500, help="connections that send a byte now and then")
    parser.add_argument("--idle", type=float, default=20_000, help="connections that send nothing")
    parser.add_argument(
        "--line-ends", type=float, default=24, help="connections that send line ends and pings"
    )
    parser.add_argument("--margin", type=float, default=MARGIN, help="megabytes that may be left at rest")
    parser.add_argument(
        "--rounds", type=int, default=1, help="how often all of it comes, with a rest after each"
    )
    parser.add_argument(
        "--growth", type=float, default=GROWTH, help="megabytes that may stay with each round"
    )
    parser.add_argument("--output", type=Path, help="a JSON file for the figures")
    options = parser.parse_args()
    options.attacks = options.attacks or list(ATTACKS)
    if unknown := [name for name in options.attacks if name not in ATTACKS]:
        parser.error(f"there is no attack {unknown[0]}: {', '.join(ATTACKS)}")
    if options.rounds < 1:
        parser.error("--rounds is 1 or more")
    return options


def main() -> int:
    """The exit status."""
    options = _options()
    rates = {kind: getattr(options, kind) for kind in ("garbage", "invites", "slow", "idle", "line_ends")}
    outcomes = []
    rounds: list[float] = []
    left: dict[str, int] = {}
    with tempfile.TemporaryDirectory(prefix="hostile-") as name, started(Path(name), options.way) as server:
        idle, _ = rest(server)
        attack(server, "quiet", _WARM_UP, rates, Path(name))
        warmed, _ = rest(server)
        print(f"{options.way}: {idle:.1f} MB before any call, {warmed:.1f} MB after a few", flush=True)
        for number in range(1, options.rounds + 1):
            for one in options.attacks:
                outcomes.append(attack(server, one, options.seconds, rates, Path(name)))
                _show(outcomes[-1])
            emptied, kept = rest(server)
            left |= kept
            if options.rounds > 1:
                rounds.append(settled(server))
                print(f"round {number}: {rounds[-1]:.1f} MB at rest", flush=True)
        after = rounds[-1] if rounds else returned(server, warmed, options.margin)
    grown = growth(rounds)
    is_back = grown <= options.growth if rounds else after <= warmed + options.margin
    print(
        f"at rest: {emptied:.1f} MB when empty, {after:.1f} MB a little later: {after - warmed:+.1f} MB to a few calls"
    )
    if rounds:
        told = f"{'is on a plateau' if is_back else 'GROWS'}: {grown:+.2f} MB a round"
    else:
        told = f"{'is' if is_back else 'IS NOT'} back within {options.margin:.0f} MB"
    print(f"memory {told}; left: {left or 'nothing'}")
    if options.output:
        figures = [outcome.as_dict() for outcome in outcomes]
        sizes = {"idle": idle, "warmed": warmed, "emptied": emptied, "after": after, "margin": options.margin}
        asked = {"way": options.way, "seconds": options.seconds, "rates": rates}
        held = {"megabytes": sizes, "rounds": rounds, "is_back": is_back, "left": left}
        options.output.write_text(json.dumps({**asked, **held, "attacks": figures}, indent=1))
    return 0 if all(outcome.is_good for outcome in outcomes) and not left and is_back else 1


if __name__ == "__main__":
    sys.exit(main())
