"""``clbench tune``: codecs and other settings, chosen on the validation stream."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from clbench.cli.group import Group, Interrupted, say
from clbench.cli.option_values import choices
from clbench.cli.options import (
    DATA_ROOT,
    DISTIL_ANEW,
    JSON,
    QUIET,
    Command,
    Option,
    attach,
    completer,
    method_options,
    preset_option,
    run_options,
    strategy_options,
)

if TYPE_CHECKING:
    from clbench.cli.tuning_plan import Plan
    from clbench.config import RunConfig
    from clbench.tuning.search import Listed, Proposals, Trial
    from clbench.tuning.space import Axis

STRATEGY = Option(
    ["--strategy"],
    multiple=True,
    required=True,
    metavar="NAME",
    heading="Search",
    shell_complete=completer("strategies"),
    help="Strategy to tune; give several, and each has the same search.",
)
CANDIDATE = Option(
    ["--candidate"],
    multiple=True,
    metavar="CODEC",
    heading="Search",
    shell_complete=completer("codecs"),
    help="Codec to try; may be given several times.  [default: a dozen for grey or for colour "
    "images]",
)
VARY = Option(
    ["--vary"],
    multiple=True,
    metavar="OPTION=V,V,...",
    heading="Search",
    help="Try every codec with each of these values of another option, as "
    "kernel-ridge=0.01,0.1; may be given several times.",
)
FINALISTS = Option(
    ["--finalists"],
    type=click.IntRange(1),
    default=3,
    heading="Search",
    help="Candidates of each strategy that are tried under more seeds.  [default: 3]",
)
SEEDS = Option(
    ["--seeds"],
    type=click.IntRange(1),
    default=3,
    heading="Search",
    help="Seeds of a finalist, from --seed on.  [default: 3]",
)
OUTPUT = Option(
    ["--output", "-o"],
    type=click.Path(path_type=Path),
    default=None,
    heading="Output",
    help="Folder of tuning.json and tuning.md; a search that was stopped there goes on.  "
    "[default: tunings/codec-BENCHMARK-STRATEGIES-CAPACITY; settings-... of clbench tune settings]",
)


SPACE = Option(
    ["--space"],
    multiple=True,
    metavar="OPTION=LOW..HIGH",
    heading="Search",
    help="A setting to choose: LOW..HIGH, with :log behind it on a logarithmic scale, or values "
    "parted by commas (or by semicolons); may be given several times. One that a strategy does "
    "not have is left out for it.  [default: each of its step sizes, from a tenth of the default "
    "to ten times of it]",
)
TRIALS = Option(
    ["--trials"],
    type=click.IntRange(1),
    default=20,
    heading="Search",
    help="Settings tried for each strategy under the first seed; the first are its defaults.  "
    "[default: 20]",
)


@click.group(cls=Group)
def command() -> None:
    r"""Choose settings on the validation stream.

    \b
    Examples:
      clbench tune codec --strategy dam_replay --strategy random_replay
      clbench tune settings --strategy kip_replay --trials 12
    """


@command.command("codec", cls=Command)
@attach(STRATEGY, CANDIDATE, VARY, FINALISTS, SEEDS)
@attach(*run_options("seed", "device", heading="Search"))
@attach(*run_options("benchmark", "learner"))
@attach(*run_options("memory", but=["memory.codec"]), preset_option())
@attach(*run_options("distillation", but=["distillation.distiller"]), *method_options())
@attach(*strategy_options())
@attach(*run_options("set_training"))
@attach(OUTPUT, DATA_ROOT, DISTIL_ANEW, QUIET, JSON)
@click.pass_context
def codec(ctx: click.Context, **values: Any) -> None:
    r"""Find the codec that serves each memory best at equal bytes.

    Part of the training images of every class is held out; each candidate is run on the rest and
    scored on what was held out. No test image has a say. All strategies have the same candidates
    and seeds. Everything that was tried is written down, and the same command goes on with a search
    that was stopped.

    \b
    Examples:
      clbench tune codec --strategy random_replay --strategy kip_replay
      clbench tune codec --strategy dam_replay --candidate raw --candidate png
      clbench tune codec --strategy kip_replay --memory-bytes 7840 \
          --candidate levels:side=14,levels=2 --vary kernel-ridge=0.01,0.1
    """
    from clbench.cli.tuning_plan import Plan

    plan = Plan(ctx, values, where="--vary")
    proposals = _codecs(plan)
    plan.open()
    _tune(plan, proposals, values)


@command.command("settings", cls=Command)
@attach(STRATEGY, SPACE, TRIALS, FINALISTS, SEEDS)
@attach(*run_options("seed", "device", heading="Search"))
@attach(*run_options("benchmark", "learner", "memory"), preset_option())
@attach(*run_options("distillation", but=["distillation.distiller"]), *method_options())
@attach(*run_options("set_training"))
@attach(OUTPUT, DATA_ROOT, DISTIL_ANEW, QUIET, JSON)
@click.pass_context
def settings(ctx: click.Context, **values: Any) -> None:
    r"""Find the settings that serve each strategy best, with the same number of trials for all.

    Part of the training images of every class is held out; each trial is a run on the rest, scored
    on what was held out. No test image has a say. The defaults are tried first; then Optuna's
    sampler (TPE) proposes settings and learns from what they come to. The best of each strategy are
    tried under more seeds. Everything that was tried is written down, and the same command goes on
    with a search that was stopped. Needs: pip install 'clbench[tune]'

    \b
    Examples:
      clbench tune settings --strategy dam_replay --strategy random_replay
      clbench tune settings --strategy kip_replay --trials 30 \
          --space kernel-ridge=0.001..1:log --space kernel-num-updates=5..40
      clbench tune settings --strategy herding_replay \
          --space learning-rate=0.01..0.2:log --space "codec=raw;levels:side=14,levels=2"
    """
    from clbench.cli.tuning_plan import Plan
    from clbench.tuning.sampled import load_optuna

    plan = Plan(ctx, values, where="--space")
    space = _space(plan)
    version = load_optuna().__version__
    plan.open(space=values["space"], trials=values["trials"], sampler=f"optuna {version} TPE")
    _tune(plan, _proposals(plan, space), values)


def _tune(plan: Plan, proposals: Sequence[Proposals], values: dict[str, Any]) -> None:
    """Search, with a line for every trial, and write and show what was found."""
    from clbench.cli import tuning_results
    from clbench.cli.display import print_json

    found = _searched(plan, proposals, quiet=values["quiet"])
    text = tuning_results.markdown(found, plan.tried.trials)
    tuning_results.write(plan.folder / "tuning.md", text)
    if values["json"]:
        return print_json(tuning_results.result(found, plan.tried.trials))
    if not values["quiet"]:
        tuning_results.show(found)
        for name in ("tuning.md", "tuning.json"):
            say(f"written: {plan.folder / name}")
    return None


def _searched(plan: Plan, proposals: Sequence[Proposals], *, quiet: bool) -> Any:
    from clbench.cli.display import ProgressLine
    from clbench.cli.tuning_results import in_words

    with ProgressLine(not quiet) as line:

        def told(trial: Trial, number: int, total: int) -> None:
            if not quiet:
                line.write(f"{number}/{total}  {in_words(trial)}")
            line.show("tuning", number, total)

        try:
            return plan.search(proposals, told)
        except KeyboardInterrupt:
            num = len(plan.tried.trials)
            raise Interrupted(
                f"interrupted; {plan.folder / 'tuning.json'} keeps {num} trials, and the same "
                "command goes on"
                if num
                else "interrupted; nothing was tried yet, and the same command begins again"
            ) from None


def _codecs(plan: Plan) -> list[Listed]:
    """Every codec with every value that varies, for each strategy; all are checked."""
    from clbench.benchmarks import make_benchmark
    from clbench.codecs.table import canonical
    from clbench.tuning.candidates import default_candidates
    from clbench.tuning.search import Candidate, Listed

    values = plan.values
    lines = [canonical(line) for line in values["candidate"]]
    if not lines:
        made = make_benchmark(plan.base[0].benchmark, values["data_root"], plan.seed)
        lines = default_candidates(made.data.spec)
    varied = dict(choices(text, "--vary") for text in values["vary"])
    for option, texts in varied.items():
        for text in texts:
            plan.read(option, text)
    found = {
        strategy: [
            Candidate(strategy, {"codec": line, **dict(zip(varied, chosen, strict=True))})
            for line in dict.fromkeys(lines)
            for chosen in product(*varied.values())
        ]
        for strategy in plan.strategies
    }
    for candidate in (one for candidates in found.values() for one in candidates):
        plan.config_of(candidate, plan.seed)
    return [Listed(strategy, candidates) for strategy, candidates in found.items()]


def _space(plan: Plan) -> dict[str, list[Axis]]:
    """Strategy -> its axes; both ends and every value of each are checked.

    Raises:
        InputError: no such option or value, or one that no strategy has.
    """
    from clbench.errors import InputError
    from clbench.tuning.space import parse_axis

    axes = [parse_axis(text, "--space") for text in plan.values["space"]]
    axes = list({axis.option: axis for axis in axes}.values())
    found = {
        config.strategy: [axis for axis in axes if _has(plan, config, axis)]
        if axes
        else _step_sizes(config)
        for config in plan.base
    }
    for axis in axes:
        if not any(axis in had for had in found.values()):
            raise InputError(
                f"--space {axis.option}: expected an option that changes a run of "
                f"{' or '.join(plan.strategies)}, found one that changes none"
            )
    return found


def _has(plan: Plan, config: RunConfig, axis: Axis) -> bool:
    """Whether values of an option make different runs of a strategy.

    Raises:
        InputError: no such option, or a value that it does not take.
    """
    from clbench.tuning.search import Candidate

    ends = axis.ends
    made = [
        plan.config_of(Candidate(config.strategy, {axis.option: end}), plan.seed) for end in ends
    ]
    return any(one != config for one in made)


def _step_sizes(config: RunConfig) -> list[Axis]:
    """The learner's step size and those of the strategy's own method."""
    from clbench.distillation.table import DISTILLERS
    from clbench.strategies import distiller_of
    from clbench.tuning.space import around

    found = [around("learning-rate", config.learner.learning_rate)]
    distiller = distiller_of(config.strategy)
    if distiller is not None:
        for setting in DISTILLERS.find(distiller).settings_as_options(distiller):
            if setting.flag.endswith("learning-rate") and setting.default:
                found.append(around(setting.flag, setting.default))
    return found


def _proposals(plan: Plan, space: dict[str, list[Axis]]) -> list[Proposals]:
    from clbench.tuning.sampled import Sampled

    num = plan.values["trials"]
    return [Sampled(name, axes, num=num, seed=plan.seed) for name, axes in space.items()]
