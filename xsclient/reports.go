package xsclient

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/sugarlabs/xo-backupd/transfer"
	"github.com/sugarlabs/xo-backupd/wire"
)

// endOfReports is the last line of a session, or why there was none.
type endOfReports struct {
	end wire.Report
	err error
}

// reports reads what the XS says beside rsync's bytes, until its end. It has to
// be read meanwhile: what nobody reads holds up the channel.
func (c *channel) reports(tell func(wire.Report)) <-chan endOfReports {
	out := make(chan endOfReports, 1)
	go func() { // ends with the channel
		r := bufio.NewReader(c.Stderr)
		var kept []wire.Kept
		for {
			var report wire.Report
			err := wire.ReadLine(r, &report)
			kept = append(kept, report.Kept...)
			if err == nil && len(kept) > maxEntries {
				err = badAnswer(fmt.Sprintf("more than %d kept entries", maxEntries))
			}
			if err != nil {
				out <- endOfReports{err: err}
				return
			}
			if report.End {
				report.Kept = kept
				out <- endOfReports{end: report}
				return
			}
			tell(report)
		}
	}()
	return out
}

// lastWords is how long the XS has to say why, after a transfer that failed
// here: where it has nothing to say, it may be stuck in what failed. One that
// broke the rules is not worth the wait.
const (
	lastWords      = 20 * time.Second
	lastWordsOfFoe = time.Second
)

// lastReport waits for the XS's last word, after the transfer ended with err.
func (c *channel) lastReport(ctx context.Context, reports <-chan endOfReports, err error) (wire.Report, error) {
	if err != nil {
		patience := lastWords
		if e := (*transfer.Error)(nil); errors.As(err, &e) && e.Kind == transfer.Refused {
			patience = lastWordsOfFoe
		}
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, patience)
		defer cancel()
	}
	select {
	case r := <-reports:
		return r.end, r.err
	case <-ctx.Done():
		c.Close()
		return wire.Report{}, ctx.Err()
	}
}
