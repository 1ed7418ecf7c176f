package transfer

import (
	"bufio"
	"io"
)

// guardReceive strains what a sender (a server, to gokrazy's client) says:
// handshake, file list, files, statistics.
type guardReceive struct {
	strainer
	raw   *bufio.Reader // before the frames are taken apart
	lists lister
	// listed is called when the list is whole, before gokrazy acts on it.
	// incomplete: the sender could not read all that it should list.
	listed func(l *list, incomplete bool) error
	disk   disk

	phase   int // of files
	current *entry
	head    sumHead
	done    int64 // bytes of the current file so far
	data    int   // bytes left of the data that comes next
	moved   int
}

func newGuardReceive(r io.Reader, allow Allow, limits Limits, listed func(*list, bool) error) *guardReceive {
	g := &guardReceive{listed: listed}
	g.raw = bufio.NewReaderSize(r, chunk)
	g.in = g.raw
	g.lists = lister{strainer: &g.strainer, allow: allow, limits: limits}
	g.next = g.handshake
	return g
}

// handshake: the protocol's version, and a seed for the sums.
func (g *guardReceive) handshake() error {
	version, err := g.int32()
	if err != nil {
		return err
	}
	if version < 27 || version > 1000 {
		return refusef("rsync's protocol %d", version)
	}
	if _, err := g.int32(); err != nil {
		return err
	}
	g.in = bufio.NewReaderSize(&frames{r: g.raw}, chunk)
	g.framed, g.next = true, g.listEntry
	return nil
}

func (g *guardReceive) listEntry() error {
	end, err := g.lists.entry()
	if err != nil || !end {
		return err
	}
	failed, err := g.int32()
	if err != nil {
		return err
	}
	g.lists.list.sort()
	g.next = g.file
	return g.listed(&g.lists.list, failed != 0)
}

// file: the number of a file and how its blocks are cut, or -1.
func (g *guardReceive) file() error {
	i, err := g.int32()
	if err != nil {
		return err
	}
	entries := g.lists.list.entries
	switch {
	case i == -1:
		if g.phase++; g.phase == 2 {
			g.next = g.statistics
		}
		return nil
	case i < 0 || int(i) >= len(entries):
		return refusef("file %d of %d", i, len(entries))
	}
	g.current = &entries[i]
	if g.current.dir || g.current.moved {
		return refusef("%s: a folder, or sent twice", quote(g.name()))
	}
	g.current.moved = true
	g.moved++
	if g.head, err = g.sumHead(quote(g.name())); err != nil {
		return err
	}
	g.done = 0
	g.next = g.token
	return g.disk.has(0, 1)
}

func (g *guardReceive) name() string { return g.lists.list.name(g.current) }

// maxToken is gokrazy's own chunk.
const maxToken = 256 << 10

// token: so many bytes of data, or a block of the file that is here, or the end.
func (g *guardReceive) token() error {
	n, err := g.int32()
	if err != nil {
		return err
	}
	switch {
	case n == 0:
		g.next = g.sum
		return nil
	case n > maxToken:
		return refusef("%s: %d bytes at once", quote(g.name()), n)
	case n > 0:
		g.data = int(n)
		g.next = g.some
		return g.grow(int64(n))
	}
	block := -(int64(n) + 1)
	if block >= int64(g.head.count) {
		return refusef("%s: block %d of %d", quote(g.name()), block, g.head.count)
	}
	if block == int64(g.head.count)-1 && g.head.remainder != 0 {
		return g.grow(int64(g.head.remainder))
	}
	return g.grow(int64(g.head.block))
}

func (g *guardReceive) grow(n int64) error {
	if g.done += n; g.done > g.current.size {
		return refusef("%s: more than the %d bytes that were announced", quote(g.name()), g.current.size)
	}
	return g.disk.has(n, 0)
}

func (g *guardReceive) some() error {
	n := min(g.data, chunk)
	if _, err := g.bytes(n); err != nil {
		return err
	}
	if g.data -= n; g.data == 0 {
		g.next = g.token
	}
	return nil
}

// sum: gokrazy compares it.
func (g *guardReceive) sum() error {
	_, err := g.bytes(16)
	g.next = g.file
	return err
}

// statistics: bytes read, written, and of all files. Nothing follows.
func (g *guardReceive) statistics() error {
	for range 3 {
		if _, err := g.int64(); err != nil {
			return err
		}
	}
	g.next = func() error { return io.EOF }
	return nil
}

// guardSend strains what a receiver (a client, to gokrazy's server) says:
// handshake, filter rules, requests.
type guardSend struct {
	strainer
	// offered is complete when the first request is read: gokrazy lists its
	// tree in between.
	offered *list
	dryRun  bool
	sorted  bool
	phase   int
	sums    int   // left of the current request
	sum     int32 // bytes of each
	whole   bool  // the current request gets no sums
	moved   int
}

func newGuardSend(r io.Reader, offered *list, dryRun bool) *guardSend {
	g := &guardSend{offered: offered, dryRun: dryRun}
	g.in = bufio.NewReaderSize(r, chunk)
	g.next = g.handshake
	return g
}

func (g *guardSend) handshake() error {
	version, err := g.int32()
	if err != nil {
		return err
	}
	if version < 27 || version > 1000 {
		return refusef("rsync's protocol %d", version)
	}
	g.next = g.filters
	return nil
}

// filters must be none: gokrazy leaves out more than they say, and panics on
// wildcards.
func (g *guardSend) filters() error {
	n, err := g.int32()
	if err != nil {
		return err
	}
	if n != 0 {
		return refusef("filter rules (--exclude, --include) are not supported")
	}
	g.next, g.hold = g.request, true
	return nil
}

func (g *guardSend) request() error {
	if !g.sorted {
		g.offered.sort()
		g.sorted = true
	}
	i, err := g.int32()
	if err != nil {
		return err
	}
	switch {
	case i == -1:
		// Two phases, then the goodbye.
		if g.phase++; g.phase == 3 {
			g.next = func() error { return io.EOF }
		}
		return nil
	case i < 0 || g.phase == 2 || int(i) >= len(g.offered.entries):
		return refusef("a request for file %d of %d", i, len(g.offered.entries))
	}
	e := &g.offered.entries[i]
	if e.dir {
		return refusef("a request for the folder %s", quote(g.offered.name(e)))
	}
	if g.dryRun {
		return nil
	}
	had := len(g.out)
	head, err := g.sumHead(quote(g.offered.name(e)))
	if err != nil {
		return err
	}
	g.moved++
	g.sums, g.sum = int(head.count), head.sum
	// gokrazy panics when it looks for blocks in an empty file.
	if g.whole = e.size == 0; g.whole {
		clear(g.out[had:])
	}
	if g.sums > 0 {
		g.next = g.block
	}
	return nil
}

// block: a rolling and a strong sum.
func (g *guardSend) block() error {
	had := len(g.out)
	if _, err := g.bytes(4 + int(g.sum)); err != nil {
		return err
	}
	if g.whole {
		g.out = g.out[:had]
	}
	if g.sums--; g.sums == 0 {
		g.next = g.request
	}
	return nil
}
