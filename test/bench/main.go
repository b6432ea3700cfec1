// SPDX-License-Identifier: Apache-2.0

// Command bench measures what skep costs and whether it loses anything, and checks
// the results against the limits that skep promises. Run it as root on an otherwise
// idle machine: make bench. With -write it puts the figures into docs/performance.md.
//
// Every figure is a count, or a ratio to a baseline taken in the same run in
// alternating blocks, because absolute times on a shared machine mean little.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
)

// benchmark is one numbered promise and how it is measured.
type benchmark struct {
	name string
	run  func(context.Context, *bench) ([]result, error)
}

var benchmarks = []benchmark{
	{"start", measureStart},
	{"exec", measureExec},
	{"senses", measureSenses},
	{"rate", measureRate},
	{"tcp", measureTCP},
	{"syscall", measureSyscall},
	{"files", measureFiles},
	{"store", measureStore},
	{"trace", measureTrace},
}

// bench is what all benchmarks share.
type bench struct {
	bin    string // directory of skepd
	dir    string // scratch
	tiny   string // the tiny static binary
	scale  int    // divides the amount of work
	config string // text of the agent's skep.yaml; empty: the default
	// bpftrace is the path of the one to compare with, or "".
	bpftrace string
}

// configured is b with agents of another configuration.
func (b *bench) configured(text string) *bench {
	other := *b
	other.config = text
	return &other
}

func main() {
	if len(os.Args) > 1 && os.Args[1] == "workload" {
		workload(os.Args[2:])
		return
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	bin := flag.String("bin", "bin", "directory of the skepd to measure")
	only := flag.String("only", "", "comma-separated benchmarks to run (default: all)")
	scale := flag.Int("scale", 1, "divide the amount of work by this, for a quick look")
	write := flag.String("write", "", "Markdown file whose figures to replace, such as docs/performance.md; with -only those of the others stay")
	bpftrace := flag.String("bpftrace", "", "path of the bpftrace that trace compares with (default: without a comparison)")
	flag.Parse()
	if os.Geteuid() != 0 {
		return fmt.Errorf("needs root: the agent loads BPF programs")
	}
	dir, err := os.MkdirTemp("", "skep-bench")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	b := &bench{bin: *bin, dir: dir, scale: *scale, bpftrace: *bpftrace}
	if b.tiny, err = tinyBinary(dir); err != nil {
		return err
	}
	if b.bin, err = filepath.Abs(*bin); err != nil {
		return err
	}
	return b.all(ctx, *only, *write)
}

func (b *bench) all(ctx context.Context, only, write string) error {
	var results []result
	for _, bm := range benchmarks {
		if only != "" && !strings.Contains(","+only+",", ","+bm.name+",") {
			continue
		}
		fmt.Printf("== %s\n", bm.name)
		rs, err := bm.run(ctx, b)
		for _, r := range rs {
			fmt.Println("  ", r)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", bm.name, err)
		}
		results = append(results, rs...)
	}
	if write != "" {
		if err := writeReport(write, results, only != ""); err != nil {
			return err
		}
	}
	return verdict(results)
}

// verdict fails if a limit was not kept.
func verdict(results []result) error {
	var failed []string
	for _, r := range results {
		if !r.kept() {
			failed = append(failed, r.what)
		}
	}
	if len(failed) > 0 {
		return fmt.Errorf("limits not kept: %s", strings.Join(failed, "; "))
	}
	return nil
}
