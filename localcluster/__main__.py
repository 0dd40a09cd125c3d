"""Command line: `python -m localcluster up|down|status|doctor|build|image|addons|...`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

from rich.console import Console

from localcluster import cluster, loading, machine, namespaces
from localcluster.addons import ADDONS, install
from localcluster.addons.registry import chosen
from localcluster.build import build
from localcluster.errors import LocalClusterError
from localcluster.folders import DEFAULT_STATE, StateFolder
from localcluster.images import image


def _up(options: argparse.Namespace) -> int:
    started = cluster.up(options.dir, control_plane_only=options.control_plane_only)
    print(f"export KUBECONFIG={started.kubeconfig}")
    return 0


def _down(options: argparse.Namespace) -> int:
    cluster.down(options.dir, everything=options.all)
    return 0


def _status(options: argparse.Namespace) -> int:
    state = StateFolder.at(options.dir)
    if namespaces.first_process(state) is None:
        print(f"down ({state.path})")
        return 1
    found = cluster.running(options.dir)
    print(f"up: {state.path}\nKUBECONFIG={found.kubeconfig}")
    print(found.kubectl("get", "nodes,pods", "--all-namespaces", "-o", "wide"))
    return 0


def _doctor(_: argparse.Namespace) -> int:
    findings = machine.findings()
    console = Console(highlight=False)
    for what, advice in findings:
        console.print(
            f"[red]missing[/red] {what}: {advice}" if advice else f"[green]ok[/green] {what}"
        )
    return 1 if any(advice for _, advice in findings) else 0


def _build(options: argparse.Namespace) -> int:
    build(product=options.images)
    return 0


def _image(options: argparse.Namespace) -> int:
    arguments = dict(argument.split("=", 1) for argument in options.build_arg)
    archive = image(options.name, options.folder, dockerfile=options.file, build_args=arguments)
    state = StateFolder.at(options.dir)
    if namespaces.first_process(state) is not None:
        loading.load(state, archive)
    else:
        loading.keep(state, archive)
        print(f"{archive.name} is kept for the next `up` ({archive.path})", file=sys.stderr)
    return 0


def _addons(options: argparse.Namespace) -> int:
    install(cluster.running(options.dir), *options.names)
    for addon in chosen(options.names):
        print(f"{addon.name}: {addon.about}")
    return 0


def _kubeconfig(options: argparse.Namespace) -> int:
    print(cluster.running(options.dir).kubeconfig)
    return 0


def _logs(options: argparse.Namespace) -> int:
    state = StateFolder.at(options.dir)
    names = [options.name] if options.name else []
    text = namespaces.tail(state, *names, lines=options.lines)
    if not text:
        logs = ", ".join(sorted(path.stem for path in state.logs.glob("*.log"))) or "none"
        raise LocalClusterError(f"no such log in {state.logs}; there are: {logs}")
    print(text)
    return 0


def _build_argument(text: str) -> str:
    if "=" not in text:
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=VALUE")
    return text


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m localcluster",
        description="A real Kubernetes node on this Linux machine, without Docker.",
    )
    commands = parser.add_subparsers(metavar="COMMAND", required=True)

    def command(
        name: str, run: Callable[[argparse.Namespace], int], about: str
    ) -> argparse.ArgumentParser:
        added = commands.add_parser(name, help=about, description=about)
        added.add_argument(
            "--dir",
            type=Path,
            default=DEFAULT_STATE,
            help="state of this cluster (default: %(default)s)",
        )
        added.set_defaults(run=run)
        return added

    up = command("up", _up, "bring the cluster up; installs and builds what is missing")
    up.add_argument(
        "--control-plane-only",
        action="store_true",
        help="etcd, API server and controller manager, no node: pods are never run",
    )
    down = command("down", _down, "end the cluster: no process, mount, link, route or cgroup stays")
    down.add_argument("--all", action="store_true", help="remove the state folder as well")
    command("status", _status, "show nodes and pods; exit 1 when the cluster is down")
    command("doctor", _doctor, "say what is missing on this machine; exit 1 when something is")
    ahead = command("build", _build, "build what `up` and `addons` need, without a cluster")
    ahead.add_argument(
        "--images", action="store_true", help="also the images of operator and agent"
    )
    single = command(
        "image", _image, "build an image and load it into the cluster, now or at the next up"
    )
    single.add_argument("name", help="what pods call it, such as agentdeploy/operator:dev")
    single.add_argument("folder", type=Path, help="what the Dockerfile can COPY")
    single.add_argument("-f", "--file", type=Path, help="Dockerfile (default: FOLDER/Dockerfile)")
    single.add_argument(
        "--build-arg", type=_build_argument, action="append", default=[], metavar="NAME=VALUE"
    )
    addons = command("addons", _addons, "install add-ons as pods and wait until they work")
    addons.add_argument("names", nargs="*", help=f"{', '.join(ADDONS)} (default: all)")
    command("kubeconfig", _kubeconfig, "print the path of the administrator's kubeconfig")
    logs = command("logs", _logs, "show the end of the servers' logs")
    logs.add_argument(
        "name", nargs="?", help="etcd, apiserver, controllers, kubelet, containerd, ..."
    )
    logs.add_argument("--lines", type=int, default=20, help="lines of each (default: %(default)s)")
    return parser


def main() -> int:
    """Run one command; what went wrong is one message on standard error and exit code 1."""
    options = _parser().parse_args()
    try:
        code: int = options.run(options)
    except LocalClusterError as problem:
        print(f"localcluster: {problem}", file=sys.stderr)
        return 1
    return code


if __name__ == "__main__":
    sys.exit(main())
