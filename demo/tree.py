"""Draws the live tree, AgentDeployment > revision > Deployment > pods, and why it is so."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text
from rich.tree import Tree

from agent_operator.api.v1alpha1 import AgentDeploymentStatus, SignalStatus, Verdict
from demo.reading import Picture, Pod, Revision
from demo.tally import Tally

MOST_EVIDENCE = 1_000_000  # the status says no more than that

_ROLE_STYLES = {
    "stable": "green",
    "candidate": "yellow",
    "draining": "dim",
    "rejected": "red",
    "leaving": "dim",
}
_PHASE_STYLES = {
    "Stable": "green",
    "RolledBack": "red",
    "RollingBack": "red",
    "Held": "magenta",
    "Stalled": "red",
}
_POD_MARKS = {"Ready": ("●", "green"), "Starting": ("◌", "yellow"), "Leaving": ("○", "dim")}
_UNUSUAL_POD = ("◌", "red")
_VERDICT_STYLES = {"Pass": "green", "Fail": "bold red", "NoData": "magenta"}


@dataclass(frozen=True, slots=True)
class Margin:
    """What a frame needs beside the objects: known prompts by revision, the clock, the room."""

    prompts: Mapping[str, str]
    seconds: float
    is_narrow: bool = False  # few lines on the screen: pods are marks, not lines


def frame(picture: Picture, tally: Tally, margin: Margin) -> RenderableType:
    """Return everything the demo shows at one moment."""
    parts: list[RenderableType] = [tree(picture, margin)]
    if picture.status.analysis:
        parts.append(analysis_table(picture.status))
    parts.append(traffic_line(tally, margin.prompts))
    decision = picture.status.last_decision
    if decision is not None:
        parts.append(
            Text.assemble("decision  ", (decision.reason, "bold"), f"  {decision.message}")
        )
    return Group(*parts)


def tree(picture: Picture, margin: Margin) -> Tree:
    """Return the tree of one AgentDeployment."""
    root = Tree(_headline(picture, margin.seconds))
    for revision in picture.revisions:
        branch = root.add(_revision_line(revision))
        workload = branch.add(_workload_line(picture, revision, margin))
        for pod in () if margin.is_narrow else revision.pods:
            workload.add(_pod_line(pod))
    return root


def analysis_table(status: AgentDeploymentStatus) -> Table:
    """Return a row per signal: what was counted on both sides and what it proves."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column("bad/sessions")
    for title in ("canary", "stable", "limit", "evidence (fails at)"):
        table.add_column(title, justify="right", no_wrap=True)
    table.add_column("verdict")
    for row in status.analysis:
        table.add_row(row.signal, *_analysis_cells(row))
    return table


def traffic_line(tally: Tally, prompts: Mapping[str, str]) -> Text:
    """Return what the driver saw: requests, failures, answers by prompt."""
    line = Text.assemble(
        "traffic   ",
        (f"{tally.requests:,} requests in {tally.sessions:,} conversations", "bold"),
        ", ",
        (f"{len(tally.failures)} failed", "bold red" if tally.failures else "green"),
    )
    for revision, answers in tally.by_revision.items():
        degraded = tally.degraded(revision)
        by_fallback = f" ({degraded:,} by the fallback)" if degraded else ""
        line.append(f", {answers:,} from prompt {prompts.get(revision, '?')}{by_fallback}")
    return line


def _headline(picture: Picture, seconds: float) -> Text:
    status, rollout = picture.status, picture.status.rollout
    phase = str(status.phase or "Pending")
    line = Text.assemble(
        (f"{picture.namespace}/{picture.name}", "bold"),
        "  ",
        (phase, f"bold {_PHASE_STYLES.get(phase, 'yellow')}"),
    )
    if rollout is not None and rollout.step:
        line.append(f"  step {rollout.step} of {rollout.steps}: {rollout.weight} %")
    if status.changed_axes:
        line.append(f"  changed: {', '.join(status.changed_axes)}")
    line.append(f"  {seconds:.0f} s", "dim")
    return line


def _revision_line(revision: Revision) -> Text:
    style = _ROLE_STYLES[revision.role]
    return Text.assemble(
        (revision.revision, f"bold {style}"),
        "  ",
        (f"{revision.role:<9}", style),
        f"  {revision.weight:>3} %  prompt {revision.prompt}, {revision.model}",
    )


def _workload_line(picture: Picture, revision: Revision, margin: Margin) -> Text:
    line = Text(f"Deployment {picture.name}-{revision.revision}  ")
    is_complete = revision.ready == revision.replicas
    line.append(f"{revision.ready}/{revision.replicas} ready", "green" if is_complete else "yellow")
    for pod in revision.pods if margin.is_narrow else ():
        mark, style = _POD_MARKS.get(pod.state, _UNUSUAL_POD)
        line.append(f" {mark}", style)
    if revision.scaling:
        line.append(f"  {revision.scaling}", "dim")
    return line


def _pod_line(pod: Pod) -> Text:
    mark, style = _POD_MARKS.get(pod.state, _UNUSUAL_POD)
    line = Text.assemble((mark, style), f" {pod.name}  ", (pod.state, style))
    if pod.restarts:
        line.append(f"  {pod.restarts} restarts", "red")
    return line


def _analysis_cells(row: SignalStatus) -> tuple[RenderableType, ...]:
    verdict = Text(row.verdict.value, style=_VERDICT_STYLES.get(row.verdict.value, "yellow"))
    if row.verdict is Verdict.INCONCLUSIVE and row.sessions_needed:
        verdict.append(f", {row.sessions_needed} to go")
    elif row.verdict is not Verdict.PASS:
        verdict.append(f" {row.reason}")
    return (
        f"{row.canary.bad}/{row.canary.sessions}",
        f"{row.stable.bad}/{row.stable.sessions}",
        "-" if row.limit is None else f"{row.limit:.0%}",
        f"{_short(row.evidence)} ({_short(row.fail_at)})",
        verdict,
    )


def _short(number: float | None) -> str:
    if number is None:
        return "-"
    if number >= MOST_EVIDENCE:
        return f"over {MOST_EVIDENCE:,}"
    return f"{number:,.0f}" if number >= 1000 else f"{number:.3g}"
