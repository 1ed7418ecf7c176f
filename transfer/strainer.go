package transfer

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
)

// A strainer reads a peer's stream element by element, checks each, and passes
// on those that keep the rules. It is the io.Reader that gokrazy reads from.
type strainer struct {
	in *bufio.Reader
	// next reads and checks one element, by the methods below.
	next func() error
	// framed: what is passed on has to be in multiplex frames.
	framed bool
	// hold ends the present filling: next has to wait until what was passed on
	// is read.
	hold bool

	out []byte // checked; out[off:] is not read yet
	off int
	err error // final
}

const (
	chunk  = 32 << 10 // of data, passed on at once
	header = 4        // bytes before a frame
	mplex  = 7        // MPLEX_BASE: added to a frame's tag
)

// Tags of multiplex frames.
const (
	tagData  = 0
	tagError = 1
	tagInfo  = 2
)

// unguarded lets the peer say whatever it likes. Only tests set it, in a child,
// to see what becomes of a transfer in which gokrazy panics after all.
var unguarded bool

func (s *strainer) Read(p []byte) (int, error) {
	if unguarded {
		return s.in.Read(p)
	}
	for s.off == len(s.out) {
		if s.err != nil {
			return 0, s.err
		}
		s.fill()
	}
	n := copy(p, s.out[s.off:])
	s.off += n
	return n, nil
}

// fill checks at least one element, and more while they are here already.
func (s *strainer) fill() {
	s.off, s.out = 0, s.out[:0]
	framed := s.framed
	if framed {
		s.out = append(s.out, 0, 0, 0, 0)
	}
	for {
		good := len(s.out)
		if s.err = s.next(); s.err != nil {
			s.out = s.out[:good]
			break
		}
		if len(s.out) >= chunk || s.in.Buffered() == 0 || s.hold || s.framed != framed {
			break
		}
	}
	s.hold = false
	if !framed {
		return
	}
	if len(s.out) == header {
		s.out = s.out[:0]
		return
	}
	binary.LittleEndian.PutUint32(s.out, mplex<<24|uint32(len(s.out)-header))
}

// bytes passes on the next n bytes and returns them; they are good until fill.
func (s *strainer) bytes(n int) ([]byte, error) {
	have := len(s.out)
	s.out = slices.Grow(s.out, n)[:have+n]
	b := s.out[have:]
	if _, err := io.ReadFull(s.in, b); err != nil {
		s.out = s.out[:have]
		return nil, cut(err)
	}
	return b, nil
}

func (s *strainer) byte() (byte, error) {
	b, err := s.bytes(1)
	if err != nil {
		return 0, err
	}
	return b[0], nil
}

func (s *strainer) int32() (int32, error) {
	b, err := s.bytes(4)
	if err != nil {
		return 0, err
	}
	return int32(binary.LittleEndian.Uint32(b)), nil
}

// int64 is rsync's: 4 bytes, or -1 and 8 bytes.
func (s *strainer) int64() (int64, error) {
	n, err := s.int32()
	if err != nil || n != -1 {
		return int64(n), err
	}
	b, err := s.bytes(8)
	if err != nil {
		return 0, err
	}
	return int64(binary.LittleEndian.Uint64(b)), nil
}

// sumHead describes the blocks of one file.
type sumHead struct {
	count     int32 // of blocks
	block     int32 // bytes of each but the last
	sum       int32 // bytes of each strong sum
	remainder int32 // bytes of the last block, 0: it is whole
}

// Bounds of a sumHead. rsync's blocks are about the square root of the file.
const (
	maxBlocks = 1 << 17
	maxBlock  = 1 << 20
	maxSum    = 16
)

func (s *strainer) sumHead(name string) (h sumHead, err error) {
	for _, f := range []struct {
		v    *int32
		most int32
		what string
	}{
		{&h.count, maxBlocks, "blocks"},
		{&h.block, maxBlock, "bytes a block"},
		{&h.sum, maxSum, "bytes a sum"},
		{&h.remainder, maxBlock, "bytes in the last block"},
	} {
		if *f.v, err = s.int32(); err != nil {
			return h, err
		}
		if *f.v < 0 || *f.v > f.most {
			return h, refusef("%s: %d %s", name, *f.v, f.what)
		}
	}
	if h.remainder > h.block || h.count > 0 && h.block == 0 {
		return h, refusef("%s: blocks of %d bytes, the last of %d", name, h.block, h.remainder)
	}
	return h, nil
}

// cut says what an early end of the stream means.
func cut(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return &Error{Kind: Cut, Message: "the connection ended before the transfer did"}
	}
	return err
}

// frames reads the data out of multiplex frames.
type frames struct {
	r    *bufio.Reader
	left int // bytes of the current frame that are not read yet
}

// Read goes over from one frame to the next as long as they are here already:
// most frames hold a single number.
func (f *frames) Read(p []byte) (n int, err error) {
	for f.left == 0 {
		if err := f.head(); err != nil {
			return 0, err
		}
	}
	for {
		m, err := f.r.Read(p[n:min(len(p), n+f.left)])
		n, f.left = n+m, f.left-m
		for err == nil && f.left == 0 && f.r.Buffered() >= header {
			err = f.head()
		}
		if err != nil || n == len(p) || f.left == 0 || f.r.Buffered() == 0 {
			return n, err
		}
	}
}

func (f *frames) head() error {
	var b [header]byte
	if _, err := io.ReadFull(f.r, b[:]); err != nil {
		return err
	}
	h := binary.LittleEndian.Uint32(b[:])
	size := int(h & 0xffffff)
	switch tag := int(h>>24) - mplex; tag {
	case tagData:
		f.left = size
		return nil
	case tagError, tagInfo:
		text := make([]byte, min(size, 1000))
		if _, err := io.ReadFull(f.r, text); err != nil {
			return err
		}
		if tag == tagError {
			return &Error{Kind: Failed, Message: fmt.Sprintf("the other side failed: %s", quote(text))}
		}
		_, err := f.r.Discard(size - len(text))
		return err
	default:
		return refusef("a message of unknown kind %d", tag)
	}
}
