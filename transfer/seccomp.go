package transfer

import (
	"runtime"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Answers of a seccomp filter.
const (
	answerAllow = 0x7fff0000
	answerErrno = 0x00050000 // plus the errno; 0: done, as far as the caller sees
)

// synced are the calls that we answer without doing them: gokrazy syncs each
// file, and the parent syncs the whole file system once before what arrived
// counts, which does the same at a thousandth of the cost.
var synced = []uint32{unix.SYS_FSYNC, unix.SYS_FDATASYNC}

// denied are calls that a transfer never makes, and that somebody would who had
// taken it over.
var denied = append([]uint32{
	unix.SYS_EXECVE, unix.SYS_EXECVEAT, unix.SYS_PTRACE,
	unix.SYS_PROCESS_VM_READV, unix.SYS_PROCESS_VM_WRITEV,
	unix.SYS_SOCKET, unix.SYS_SOCKETPAIR, unix.SYS_CONNECT, unix.SYS_BIND, unix.SYS_LISTEN,
	unix.SYS_MOUNT, unix.SYS_UMOUNT2, unix.SYS_PIVOT_ROOT, unix.SYS_CHROOT,
	unix.SYS_UNSHARE, unix.SYS_SETNS, unix.SYS_REBOOT, unix.SYS_SWAPON, unix.SYS_SWAPOFF,
	unix.SYS_INIT_MODULE, unix.SYS_FINIT_MODULE, unix.SYS_DELETE_MODULE, unix.SYS_KEXEC_LOAD,
	unix.SYS_BPF, unix.SYS_PERF_EVENT_OPEN, unix.SYS_USERFAULTFD,
	unix.SYS_IO_URING_SETUP, unix.SYS_IO_URING_ENTER, unix.SYS_IO_URING_REGISTER,
	unix.SYS_KEYCTL, unix.SYS_ADD_KEY, unix.SYS_REQUEST_KEY,
	unix.SYS_OPEN_BY_HANDLE_AT, unix.SYS_MKNODAT, unix.SYS_SYMLINKAT, unix.SYS_LINKAT,
	unix.SYS_SETUID, unix.SYS_SETGID, unix.SYS_SETXATTR, unix.SYS_LSETXATTR,
}, deniedHere...)

// filterCalls puts the filter on all threads of this process, for good.
func filterCalls() error {
	filter := callFilter()
	prog := &unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return err
	}
	_, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER,
		unix.SECCOMP_FILTER_FLAG_TSYNC, uintptr(unsafe.Pointer(prog)))
	if errno == 0 {
		return nil
	}
	// Linux 3.5 to 3.16: thread by thread.
	if _, _, errno = syscall.AllThreadsSyscall6(unix.SYS_PRCTL, unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0, 0); errno != 0 {
		return errno
	}
	_, _, errno = syscall.AllThreadsSyscall6(unix.SYS_PRCTL, unix.PR_SET_SECCOMP,
		unix.SECCOMP_MODE_FILTER, uintptr(unsafe.Pointer(prog)), 0, 0, 0)
	runtime.KeepAlive(prog)
	if errno != 0 {
		return errno
	}
	return nil
}

// callFilter is the program that the kernel runs at each call: with the call's
// architecture at offset 4 and its number at 0.
func callFilter() []unix.SockFilter {
	// Behind the comparisons, in this order: allow, done, deny. What no
	// comparison takes falls through to the first.
	allow := len(synced) + len(denied)
	done, deny := allow+1, allow+2
	load := func(at uint32) unix.SockFilter {
		return unix.SockFilter{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: at}
	}
	f := []unix.SockFilter{
		load(4),
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: auditArch, Jt: 0, Jf: uint8(deny + 2)},
		load(0),
		{Code: unix.BPF_JMP | unix.BPF_JGE | unix.BPF_K, K: highestCall, Jt: uint8(deny), Jf: 0},
	}
	at := 0
	compare := func(calls []uint32, to int) {
		for _, nr := range calls {
			f = append(f, unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: nr, Jt: uint8(to - at - 1)})
			at++
		}
	}
	compare(synced, done)
	compare(denied, deny)
	answer := func(k uint32) unix.SockFilter {
		return unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: k}
	}
	return append(f, answer(answerAllow), answer(answerErrno), answer(answerErrno|uint32(unix.EPERM)))
}
