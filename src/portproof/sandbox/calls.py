"""System calls that a program under Landlock must not make: a filter of their numbers in registers.

Landlock decides on files that are opened and on ports, and sandlock on addresses, which it reads
from memory that the program may change meanwhile. What a register says cannot be changed.
"""

import errno
import os
from collections.abc import Iterator
from functools import cache
from typing import Any, Literal

# What a program may reach: nothing; pages that it serves itself; the machine's network.
Reach = Literal["nothing", "loopback", "network"]

# What changes a file of this user that is only open to be read, or was not opened; what tells names
# in folders that are not shown; queues of other programs.
_REFUSED = (
    *("chmod", "fchmod", "fchmodat", "fchmodat2", "chown", "fchown", "lchown", "fchownat"),
    *("utime", "utimes", "utimensat", "futimesat"),
    *("setxattr", "fsetxattr", "lsetxattr", "removexattr", "fremovexattr", "lremovexattr"),
    *("inotify_init", "inotify_init1", "inotify_add_watch", "mq_open", "mq_unlink"),
)
# Calls that libseccomp may be too old to know: setxattrat, removexattrat, file_setattr.
_REFUSED_NUMBERS = (463, 466, 469)
# FS_IOC_SETFLAGS, FS_IOC_FSSETXATTR, FS_IOC_SETVERSION, FS_IOC_ENABLE_VERITY (linux/fs.h).
_REFUSED_REQUESTS = (0x40086602, 0x401C5820, 0x40087602, 0x40806685)
_UNIX, _INET, _INET6, _NETLINK, _FAMILIES = 1, 2, 10, 16, 64
_STREAM, _TYPES = 1, 16
_TCP, _PROTOCOLS = 6, 300  # and 0, which is its default


@cache
def filter_of(reach: Reach) -> bytes:
    """A program of struct sock_filter (linux/filter.h), for all calls of a sandboxed program."""
    from pyseccomp import ALLOW, ERRNO, MASKED_EQ, NE, Arg, SyscallFilter

    def low(argument: int, value: int, mask: int = 0xFFFFFFFF) -> Any:
        """The kernel reads an int: the other half of the register decides nothing."""
        return Arg(argument, MASKED_EQ, mask, value)

    refused = ERRNO(errno.EPERM)
    rules = SyscallFilter(ALLOW)
    for call in (*_known(_REFUSED), *_REFUSED_NUMBERS):
        rules.add_rule(refused, call)
    for request in _REFUSED_REQUESTS:
        rules.add_rule(refused, "ioctl", low(1, request))
    # Limits of another process, with which that can be ended.
    rules.add_rule(refused, "prlimit64", Arg(0, NE, 0))
    if reach != "network":
        if reach == "nothing":
            rules.add_rule(refused, "connect")
        # sandlock opens a socket of its own, by which only `connect` would reach something.
        families = {"nothing": (_UNIX, _NETLINK), "loopback": (_INET, _INET6, _NETLINK)}[reach]
        for family in set(range(_FAMILIES)) - set(families):
            rules.add_rule(refused, "socket", low(0, family))
        for family in set(families) - {_NETLINK}:
            for kind in set(range(_TYPES)) - {_STREAM}:
                rules.add_rule(refused, "socket", low(0, family), low(1, kind, _TYPES - 1))
            for protocol in set(range(_PROTOCOLS)) - {0, _TCP}:
                rules.add_rule(refused, "socket", low(0, family), low(2, protocol))
    return _exported(rules)


def _known(names: tuple[str, ...]) -> Iterator[str]:
    """Those that this processor and this libseccomp have."""
    from pyseccomp import resolve_syscall, system_arch

    for name in names:
        if resolve_syscall(system_arch(), name) >= 0:
            yield name


def _exported(rules: Any) -> bytes:
    with os.fdopen(os.memfd_create("filter"), "w+b") as file:
        rules.export_bpf(file)
        file.seek(0)
        return file.read()
