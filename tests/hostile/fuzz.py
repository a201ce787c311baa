"""Plan builds of tens of thousands of hostile headers: ``make fuzz``.

Prints how they ended and how much memory it takes, now and then; ends with the first bug, made small.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections import Counter
from pathlib import Path

import psutil
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from tests.hostile.header_check import check_header
from tests.hostile.headers import headers

_AT_ONCE = 2_500
_VERIFIED = 50  # one of so many has its chats compared, which takes twenty times as long


def main() -> None:
    """Run so many cases."""
    parser = argparse.ArgumentParser(description=__doc__.partition(":")[0])
    parser.add_argument("--cases", type=int, default=50_000)
    parser.add_argument("--seed", type=int, default=0, help="other cases than those of another number")
    arguments = parser.parse_args()
    outcomes: Counter[str] = Counter()
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="gguf2ollama-fuzz-") as folder:
        path = Path(folder) / "Model-Q4_K_M.gguf"
        for number in range(0, arguments.cases, _AT_ONCE):
            _run(
                path, outcomes, cases=min(_AT_ONCE, arguments.cases - number), number=arguments.seed + number
            )
            resident = psutil.Process().memory_info().rss >> 20
            ended = ", ".join(f"{name} {count:,}" for name, count in outcomes.most_common())
            seconds = time.monotonic() - began
            print(f"{outcomes.total():,} cases in {seconds:.0f} s, {resident} MiB: {ended}", flush=True)  # noqa: T201


def _run(path: Path, outcomes: Counter[str], *, cases: int, number: int) -> None:
    @seed(number)
    @settings(
        max_examples=cases,
        database=None,
        deadline=None,
        phases=(Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),
    )
    @given(headers(), st.sampled_from(["link", "upload"]), st.integers(1, _VERIFIED))
    def check(header: tuple[bytes, int], transport: str, turn: int) -> None:
        content, n_bytes = header
        ended = check_header(
            content, n_bytes=n_bytes, path=path, transport=transport, verify=turn == _VERIFIED
        )
        outcomes[ended] += 1

    check()


if __name__ == "__main__":
    main()
