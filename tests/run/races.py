"""Two to eight commands at once on one default name, or on one ``-o``: nothing is lost.

    python -m tests.run.races --races 50

On a default name every command ends well, and every result is there, each in a place of its own.
On one ``-o`` one command has it; another is refused with exit code 2, or shown the finished run
where it is the very same command. ``tests/cli/test_places.py`` has the short form.
"""

from __future__ import annotations

import argparse
import json
import random
import tempfile
from collections import Counter
from pathlib import Path

from tests.run.commands import Started, require_fork

SMALL = ["--train-per-class", "20", "--width", "8", "--depth", "1", "--quiet"]
DISTILL = ["distill", "--distiller", "herding", "--no-evaluate", "--quiet"]
# Name -> a command that takes one more option, what varies, where results lie, its own -o.
KINDS = {
    "run": (["run", "--strategy", "random_replay", "--no-tensorboard", *SMALL],
            "--learning-rate", "runs/**/report.json", "out"),
    "pair": (["run", "--strategy", "random_replay", "--baseline", "herding_replay",
              "--more-bytes", "0", "--no-tensorboard", *SMALL],
             "--learning-rate", "runs/**/random_replay/report.json", "out"),
    "offline": (["evaluate", "offline", "--network", "mlp", "--width", "8", "--no-tensorboard",
                 "--epochs", "1", "--quiet"],
                "--learning-rate", "evaluations/**/report.json", "out"),
    "distill": (DISTILL, "--images-per-class", "sets/*.safetensors", "out.safetensors"),
}  # fmt: skip


def raced(kind: str, chosen: bool, same: bool, num: int, folder: Path, cache: Path) -> list[str]:
    """Let ``num`` commands race; what went wrong, a line each."""
    command, option, pattern, name = KINDS[kind]
    values = [1 if same else n + 1 for n in range(num)]
    if option == "--learning-rate":
        values = [v / 100 for v in values]
    place = ["-o", name] if chosen else []
    started = [
        Started([*command, option, str(value), *place], folder, cache, tag=str(n))
        for n, value in enumerate(values)
    ]
    codes = [one.wait() for one in started]
    wrong = [
        f"{kind} exit {code}: {one.printed[-500:]}"
        for one, code in zip(started, codes, strict=True)
        if code not in ((0, 2) if chosen else (0,))
    ]
    if chosen:
        shown = same and kind in ("run", "pair")
        if codes.count(0) != 1 and not (shown and codes.count(0) >= 1):
            wrong.append(f"{kind} -o: exit codes {codes}")
        for one, code in zip(started, codes, strict=True):
            if code == 2 and one.printed.count("\n") != 1:
                wrong.append(f"{kind} -o: {one.printed[-500:]}")
    else:
        found = list(folder.glob(pattern))
        if len(found) != num:
            wrong.append(f"{kind}: {num} commands, {len(found)} results")
        if kind in ("run", "pair") and not same:
            rates = {json.loads(f.read_text())["config"]["learner"]["learning_rate"] for f in found}
            if rates != set(values):
                wrong.append(f"{kind}: rates {rates}")
    left = [str(p) for p in folder.rglob("*") if p.name.endswith(".claim")]
    return wrong + [f"{kind}: left over {path}" for path in left]


def main() -> None:
    """Race, each time in another way."""
    require_fork()
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--races", type=int, default=8)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    draw, found = random.Random(options.seed), Counter[str]()
    for number in range(options.races):
        with tempfile.TemporaryDirectory() as temporary:
            folder, kind = Path(temporary, "work"), list(KINDS)[number % len(KINDS)]
            folder.mkdir()
            chosen, same, num = draw.random() < 0.5, draw.random() < 0.5, draw.randint(2, 8)
            wrong = raced(kind, chosen, same, num, folder, Path(temporary, "cache"))
            found["races"] += 1
            found["commands"] += num
            found["wrong"] += bool(wrong)
            for line in wrong:
                print(line, flush=True)
    print(dict(found))


if __name__ == "__main__":
    main()
