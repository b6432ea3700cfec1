// SPDX-License-Identifier: Apache-2.0

// Command demo serves skep's page on the data of a fake agent, for work on the
// page: open the link it prints, or run `npm run dev` in web/ afterwards.
package main

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"time"

	skepweb "github.com/skep-io/skep/internal/web"
	"github.com/skep-io/skep/test/e2e/web/fakeagent"
)

func main() {
	var o fakeagent.Options
	listen := flag.String("listen", "127.0.0.1:7537", "host:port of the page")
	flag.IntVar(&o.Rate, "rate", 400, "events a second")
	flag.IntVar(&o.Processes, "processes", 0, "idle processes beside the cast")
	flag.BoolVar(&o.Loss, "loss", false, "lose events now and then")
	flag.DurationVar(&o.Past, "past", 25*time.Hour, "how far back the agent remembers")
	flag.BoolVar(&o.Unsampled, "unsampled", false, "ignore max_rate")
	flag.Parse()
	if err := run(o, *listen); err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
}

func run(o fakeagent.Options, listen string) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	dir, err := os.MkdirTemp("", "skep-demo")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	socket := filepath.Join(dir, "skep.sock")
	go func() {
		if err := fakeagent.New(o).Serve(ctx, socket); err != nil {
			slog.Error("fake agent", "error", err)
		}
	}()
	return skepweb.Serve(ctx, skepweb.Options{Listen: listen, Socket: socket, Logger: slog.Default(), Ready: func(a net.Addr) {
		fmt.Printf("http://%s/?token=%s\n", a, fakeagent.Token)
	}})
}
