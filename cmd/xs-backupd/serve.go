package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"

	"github.com/spf13/cobra"

	"github.com/sugarlabs/xo-backupd/xs"
	"github.com/sugarlabs/xo-backupd/xs/store"
)

func (p *program) serve() *cobra.Command {
	var verbose bool
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Serve the school's laptops until SIGTERM",
		Long: `serve listens on three addresses and, once all three listen, prints them as one
line of JSON on standard output. Everything else goes to standard error.

Port 0 lets the system choose. The host key is made at the first start and kept
in ROOT/.xs; a certificate for it (ssh-keygen -s CA -h host_key.pub) beside it is
shown to the laptops. SIGTERM lets running backups come to their end for a while;
what is cut then goes on at the next backup where it was.`,
		Args: noArgs,
	}
	addFlags(cmd.Flags())
	cmd.Flags().BoolVarP(&verbose, "verbose", "v", false, "log more")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		c, err := p.config(cmd)
		if err != nil {
			return err
		}
		level := slog.LevelInfo
		if verbose {
			level = slog.LevelDebug
		}
		log := slog.New(slog.NewTextHandler(p.log, &slog.HandlerOptions{Level: level}))
		return p.run(cmd.Context(), c, log)
	}
	return cmd
}

func (p *program) run(ctx context.Context, c xs.Config, log *slog.Logger) error {
	s, err := store.Create(c.Root, log)
	if err != nil {
		return err
	}
	defer s.Close()
	var l xs.Listeners
	for _, at := range []struct {
		key, addr string
		to        *net.Listener
	}{
		{"http", c.HTTP, &l.HTTP}, {"registration", c.Registration, &l.Registration}, {"ssh", c.SSH, &l.SSH},
	} {
		if *at.to, err = net.Listen("tcp", at.addr); err != nil {
			return fmt.Errorf("%s %q: %w", at.key, at.addr, err)
		}
		defer (*at.to).Close()
	}
	server := &xs.Server{Store: s, Config: c, Log: log, Ready: func() {
		json.NewEncoder(p.out).Encode(map[string]string{
			"http":         l.HTTP.Addr().String(),
			"registration": l.Registration.Addr().String(),
			"ssh":          l.SSH.Addr().String(),
		})
	}}
	return server.Serve(ctx, l)
}
