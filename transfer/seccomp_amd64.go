package transfer

import "golang.org/x/sys/unix"

const (
	auditArch = unix.AUDIT_ARCH_X86_64
	// x32 calls come with this bit.
	highestCall = 0x40000000
)

var deniedHere = []uint32{unix.SYS_SYMLINK, unix.SYS_LINK, unix.SYS_MKNOD, unix.SYS_IOPL, unix.SYS_IOPERM, unix.SYS_FORK, unix.SYS_VFORK}
