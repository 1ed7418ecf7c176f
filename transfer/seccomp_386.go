package transfer

import "golang.org/x/sys/unix"

const (
	auditArch   = unix.AUDIT_ARCH_I386
	highestCall = 0xffffffff
)

var deniedHere = []uint32{unix.SYS_SOCKETCALL, unix.SYS_SETUID32, unix.SYS_SETGID32, unix.SYS_SYMLINK, unix.SYS_LINK, unix.SYS_MKNOD, unix.SYS_IOPL, unix.SYS_IOPERM, unix.SYS_FORK, unix.SYS_VFORK}
