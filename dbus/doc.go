// Package dbus is org.laptop.Backup on the session bus: the methods,
// properties, signals, jobs and errors that Sugar, scripts and xo-backup build
// on. It does no work itself. Whoever does is an [Engine], which the program
// hands over; this package knows nothing of servers, Journals or networks.
//
// # Words
//
//   - A call is one method call of one client. Calls run side by side; none
//     waits for another, nor for a job unless it is Wait. Every call ends: those
//     that ask the school server are given less time than the 25 seconds that
//     dbus-send waits.
//   - A job is work that outlives the call that started it: its client may go
//     away. There is one at a time. It is an object below [JobsPath] while it
//     runs; its result is kept, on disk too, for Wait.
//   - A backup by itself is one that no person asked for. The engine may hold it
//     back; then there is no job, but a job that is over for whoever called.
//   - To look into the Journal or a snapshot is a call, not a job. Journal,
//     snapshots and other questions to the school server have lanes of their own:
//     a server that falls silent keeps nobody from looking into the Journal.
//   - The gate is where calls wait while the service is between having its name
//     and not having it (see activity.go).
//
// # Invariants
//
//   - The number of a job is never given twice, whatever happened in between:
//     numbers are reserved on disk before they are used, and where that fails
//     (a full disk must not stop a backup) they are drawn at random from a range
//     so wide that they do not meet again.
//   - A result that anybody was told is on disk already, if the disk takes it.
//   - A panic in a call or a job becomes [Failed] for whoever asked.
//   - What is sent is valid: D-Bus refuses text that is not UTF-8 or holds a NUL,
//     and a reply that cannot be sent is a client that waits for ever.
//   - An answer has a bound (maxAnswer); what would be longer is refused, not cut.
//   - godbus's own tables of exported objects can be read and written at the same
//     time, and crash. They are not used: the service is its own
//     [godbus.Handler] and what it serves is a function of the path.
//   - godbus's encoder is slow, most of all with bytes. The datastore's answers,
//     which Sugar's Journal asks for at every key that is pressed, go around it
//     (marshal.go); a client sees no difference.
package dbus
