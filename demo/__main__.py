"""Command line: `python -m demo`; exit 0 only if one revision was promoted and one rolled back."""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
from pathlib import Path

from rich.console import Console

from demo.addons import install_addons
from demo.cluster import load_images, own_cluster
from demo.entrance import entrance
from demo.errors import DemoError
from demo.farewell import diagnose, invite
from demo.install import NAMESPACE, OPERATOR_NAMESPACE, clear, install_agent, install_operator
from demo.performance import Performance, perform
from demo.progress import say
from demo.summary import FILE_NAME, write
from localcluster import AnyCluster, ForeignCluster, LocalClusterError
from localcluster.folders import REPOSITORY

PIPED_WIDTH = 150
DEFAULT_FOLDER = REPOSITORY / ".local" / "demo"


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m demo", description=__doc__)
    parser.add_argument(
        "--keep", action="store_true", help="leave the cluster up and say how to look around"
    )
    parser.add_argument(
        "--kubeconfig", type=Path, help="run in this cluster instead of bringing one up"
    )
    parser.add_argument(
        "--dir",
        type=Path,
        default=DEFAULT_FOLDER,
        help="state of the demo's own cluster (default: %(default)s)",
    )
    parser.add_argument(
        "--json", type=Path, help=f"where the summary goes (default: {FILE_NAME} in --dir)"
    )
    return parser.parse_args()


def _run(options: argparse.Namespace) -> Performance:
    if options.kubeconfig is not None:
        return _run_in(ForeignCluster(options.kubeconfig, options.dir), options)
    with own_cluster(options.dir, keep=options.keep) as cluster:
        return _run_in(cluster, options)


def _run_in(cluster: AnyCluster, options: argparse.Namespace) -> Performance:
    file = options.json or options.dir / FILE_NAME
    file.unlink(missing_ok=True)
    clear(cluster)
    install_addons(cluster)
    images = load_images(cluster)
    install_operator(cluster, images.operator)
    install_agent(cluster, images.agent)
    with entrance(cluster) as url:
        performance = asyncio.run(perform(cluster, url, _console()))
        write(performance.summary, file)
        if performance.problem is not None:
            diagnose(cluster)
        if options.keep or options.kubeconfig is not None:
            invite(cluster, leave=_leave(options))
    return performance


def _leave(options: argparse.Namespace) -> str:
    """Return the command that removes what the demo leaves behind."""
    if options.kubeconfig is not None:
        return f"kubectl delete namespace {NAMESPACE} {OPERATOR_NAMESPACE}"
    is_usual = options.dir.resolve() == DEFAULT_FOLDER
    return "make down" if is_usual else f"make down DIR={options.dir}"


def _console() -> Console:
    """Write as wide as the terminal is; without one, wide enough for every line."""
    console = Console()
    return console if console.is_terminal else Console(width=PIPED_WIDTH)


def main() -> int:
    """Run the demo; what went wrong is a sentence on standard error and exit code 1."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # ends as Ctrl-C does: tidied up
    options = _arguments()
    try:
        performance = _run(options)
    except (DemoError, LocalClusterError) as problem:
        say(f"failed: {problem}")
        return 1
    except KeyboardInterrupt:
        say("stopped")
        return 130
    performance.print()
    return 0 if performance.summary.is_success and performance.problem is None else 1


if __name__ == "__main__":
    sys.exit(main())
