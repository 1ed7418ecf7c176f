// Package transfer moves a tree of files by rsync, in a child process that can
// do little else.
//
// gokrazy/rsync panics on hostile input in goroutines that nobody can recover,
// allocates what the peer tells it to, believes every name and mode in a file
// list, ignores contexts, and syncs each file. So it never runs in a process
// that matters: the program executes itself again (Child.Main, first thing in
// main), and the child, which has its limits on memory, file size and time,
// Landlock where the kernel has it, and seccomp where the kernel has that, runs
// one Job and ends. It ends too when its parent does.
//
// # Words
//
//	Job      what one child does: send a tree, or receive one into a folder
//	Source   makes the fs.FS that a child sends; runs in the child
//	Process  a running child, as its parent holds it
//	strainer stands between the network and gokrazy, takes the protocol apart
//	         and passes on only what keeps the rules
//
// # Invariants
//
//   - A peer that breaks the rules gets an Error of Kind Refused that names
//     the thing, before gokrazy has seen it.
//   - Nothing outside Job.Receive is written, nothing outside Job.Read read.
//   - Files appear in Job.Receive whole or not at all. They are not yet on the
//     disk: sync its file system before any of it counts. (Where seccomp works,
//     the child's own thousand fsyncs are answered without doing them.)
//   - The lists go in the order of fs.WalkDir, so no name comes twice.
package transfer
