"""The errors that a person can act on. Each message says what to do next."""


class PortproofError(Exception):
    """Base of all errors that end a command with one message and no traceback."""

    exit_status = 2


class UsageError(PortproofError):
    """The command or the call was used wrongly."""


class ExportError(PortproofError):
    """The model cannot be exported as asked."""

    exit_status = 1


class BundleError(PortproofError):
    """The bundle on disk is not what its manifest says: nothing of it may be trusted."""

    exit_status = 1
