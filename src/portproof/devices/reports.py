"""What ran on a device -> its report."""

from portproof.bundle.report import Environment, Report


def of_device(report: Report, name: str, identity: str, agent: str) -> Report:
    """A report whose host is the device, not the machine that judged it.

    Args:
        report: What `run_cells` gave.
        name: The device's name among hosts.
        identity: What tells it from others of its name.
        agent: What its browser says that it is.
    """
    environment = Environment(
        host=name,
        device=identity,
        platform=agent,
        processor="",
        python="",
        portproof=report.environment.portproof,
        runtimes=report.environment.runtimes,
    )
    # What was asked of it, and it did not compute.
    update = {"environment": environment, "requested": tuple(report.absent)}
    return report.model_copy(update=update).finished()
