"""A seccomp filter for bubblewrap, as the BPF program that `bwrap --seccomp` reads.

It is a second line of defence behind the namespaces. It blocks ways around the limits (memory that belongs to no
process), nested user namespaces, the few kernel interfaces that namespaces do not isolate (key rings, the kernel's log,
vsock), and large attack surfaces that programs under test do not need. Numbers are those of linux/unistd.h,
linux/seccomp.h and linux/bpf_common.h.
"""

import errno
import platform
import struct

_ALLOW = 0x7FFF0000
_KILL = 0x80000000
_ERRNO = 0x00050000
_LOAD_WORD = 0x20
_JUMP_EQUAL = 0x15
_JUMP_GREATER_OR_EQUAL = 0x35
_JUMP_ANY_BIT = 0x45
_RETURN = 0x06
_NUMBER, _ARCH, _ARGUMENT = 0, 4, 16

_CLONE_NEWUSER = 0x10000000
_SHM_HUGETLB = 0o4000
_PAGE = 4096
_TIOCSTI, _TIOCLINUX = 0x5412, 0x541C
_X32_BIT = 0x40000000
_FAMILIES = (1, 2, 10, 16)
"""AF_UNIX, AF_INET, AF_INET6, AF_NETLINK: a new network namespace isolates all of them."""

_ARCHITECTURES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
# name: (number on x86_64, number on aarch64, errno that the caller gets)
_REFUSED = {
    # memory that does not count as any process's resident memory
    "memfd_create": (319, 279, errno.ENOSYS),
    "memfd_secret": (447, 447, errno.ENOSYS),
    "shmget": (29, 194, errno.ENOSYS),
    "msgget": (68, 186, errno.ENOSYS),
    # ways around this filter
    "io_uring_setup": (425, 425, errno.ENOSYS),
    "clone3": (435, 435, errno.ENOSYS),
    # not isolated by namespaces
    "add_key": (248, 217, errno.EPERM),
    "request_key": (249, 218, errno.EPERM),
    "keyctl": (250, 219, errno.EPERM),
    "syslog": (103, 116, errno.EPERM),
    # attack surface
    "bpf": (321, 280, errno.EPERM),
    "perf_event_open": (298, 241, errno.EPERM),
    "userfaultfd": (323, 282, errno.EPERM),
    "mount": (165, 40, errno.EPERM),
    "umount2": (166, 39, errno.EPERM),
    "pivot_root": (155, 41, errno.EPERM),
    "setns": (308, 268, errno.EPERM),
    "open_tree": (428, 428, errno.EPERM),
    "move_mount": (429, 429, errno.EPERM),
    "fsopen": (430, 430, errno.EPERM),
    "fsmount": (432, 432, errno.EPERM),
    "mount_setattr": (442, 442, errno.EPERM),
    "kexec_load": (246, 104, errno.EPERM),
    "open_by_handle_at": (304, 265, errno.EPERM),
}
_UNSHARE, _CLONE, _SOCKET, _SOCKETPAIR, _IOCTL = (272, 97), (56, 220), (41, 198), (53, 199), (16, 29)


def filter_program(*, pages: bool = False) -> bytes | None:
    """The filter for this machine; None on an architecture other than x86_64 and aarch64. With `pages`, System V shared
    memory is allowed in segments of at most one page: PostgreSQL locks its data with one. The kernel allows 4,096 of
    them in an IPC namespace, so what does not count as any process's memory stays below 16 MiB."""
    machine = platform.machine()
    if machine not in _ARCHITECTURES:
        return None
    column = list(_ARCHITECTURES).index(machine)
    program: list[tuple[int, int, int, int]] = [
        (_LOAD_WORD, 0, 0, _ARCH),
        (_JUMP_EQUAL, 1, 0, _ARCHITECTURES[machine]),
        (_RETURN, 0, 0, _KILL),
        (_LOAD_WORD, 0, 0, _NUMBER),
    ]
    if machine == "x86_64":
        program += [(_JUMP_GREATER_OR_EQUAL, 0, 1, _X32_BIT), (_RETURN, 0, 0, _ERRNO | errno.ENOSYS)]
    if pages:
        program += _shared_pages(_REFUSED["shmget"][column])
    for numbers in _REFUSED.values():
        program += [(_JUMP_EQUAL, 0, 1, numbers[column]), (_RETURN, 0, 0, _ERRNO | numbers[2])]
    for call in (_UNSHARE, _CLONE):
        program += _block(
            call[column],
            0,
            [(_JUMP_ANY_BIT, 0, 1, _CLONE_NEWUSER), (_RETURN, 0, 0, _ERRNO | errno.EPERM)],
        )
    for call in (_SOCKET, _SOCKETPAIR):
        checks = [(_JUMP_EQUAL, len(_FAMILIES) - at, 0, family) for at, family in enumerate(_FAMILIES)]
        program += _block(call[column], 0, [*checks, (_RETURN, 0, 0, _ERRNO | errno.EAFNOSUPPORT)])
    program += _block(
        _IOCTL[column],
        1,
        [
            (_JUMP_EQUAL, 1, 0, _TIOCSTI),
            (_JUMP_EQUAL, 0, 1, _TIOCLINUX),
            (_RETURN, 0, 0, _ERRNO | errno.EPERM),
        ],
    )
    program.append((_RETURN, 0, 0, _ALLOW))
    return b"".join(struct.pack("=HBBI", *instruction) for instruction in program)


def _shared_pages(number: int) -> list[tuple[int, int, int, int]]:
    """Instructions that allow `shmget(key, size, flags)` for at most one page of usual size. Otherwise they leave the
    number of the system call for those that follow."""
    size, flags = _ARGUMENT + 8, _ARGUMENT + 16
    checks = [
        (_LOAD_WORD, 0, 0, size + 4),  # the upper half: both architectures are little-endian
        (_JUMP_EQUAL, 0, 5, 0),
        (_LOAD_WORD, 0, 0, size),
        (_JUMP_GREATER_OR_EQUAL, 3, 0, _PAGE + 1),
        (_LOAD_WORD, 0, 0, flags),
        (_JUMP_ANY_BIT, 1, 0, _SHM_HUGETLB),
        (_RETURN, 0, 0, _ALLOW),
        (_LOAD_WORD, 0, 0, _NUMBER),
    ]
    return [(_JUMP_EQUAL, 0, len(checks), number), *checks]


def _block(number: int, argument: int, checks: list[tuple[int, int, int, int]]) -> list[tuple[int, int, int, int]]:
    """Instructions that check one argument (its low 32 bits) of one system call, and allow it if no check returns."""
    body = [(_LOAD_WORD, 0, 0, _ARGUMENT + 8 * argument), *checks, (_RETURN, 0, 0, _ALLOW)]
    return [(_JUMP_EQUAL, 0, len(body), number), *body]
