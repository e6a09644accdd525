"""``librehps doctor``: is this installation sound, and what would it run?"""

from __future__ import annotations

from dataclasses import asdict

import typer

from librehps.cli import options
from librehps.cli.output import write_json, write_line, write_table

EPILOG = options.examples("librehps doctor", "librehps doctor --json")


def doctor(as_json: options.JsonOption = False) -> None:
    """Check this installation.

    Shows versions, devices, and what would run on each and why; then compares every op with its
    definition, and a small random model with the one in transformers where that is installed. The
    exit status is 1 if a check fails.
    """
    from librehps.cli.environment import default_device, devices, versions
    from librehps.cli.self_check import run_checks

    packages, places, checks = versions(), devices(), run_checks()
    healthy = all(check.verdict != "failed" for check in checks)
    if as_json:
        write_json(
            {
                "healthy": healthy,
                "default_device": default_device(),
                "versions": packages,
                "devices": [asdict(place) for place in places],
                "checks": [asdict(check) for check in checks],
            }
        )
    else:
        rows = [[name, version or "not installed"] for name, version in packages.items()]
        write_table(["package", "version"], rows)
        for place in places:
            rows = [
                ["name", place.name],
                ["capability", place.capability or "-"],
                ["memory", place.memory],
                ["bfloat16", f"{'native' if place.bf16 else 'emulated'}: {place.bf16_reason}"],
                ["dtype", place.dtype],
                ["attention", f"{place.attention}: {place.attention_reason}"],
                ["kernels", f"{place.kernels}: {place.kernels_reason}"],
            ]
            mark = " (default)" if place.device == default_device() else ""
            write_table([place.device + mark, "what auto takes there"], rows)
        rows = [
            [
                check.name,
                check.device,
                check.verdict,
                check.shown_difference,
                f"{check.limit:.0e}",
                check.detail,
            ]
            for check in checks
        ]
        write_table(["check", "device", "verdict", "difference", "limit", "against"], rows)
        write_line("everything agrees" if healthy else "something is wrong: see the failed checks")
    if not healthy:
        raise typer.Exit(1)
