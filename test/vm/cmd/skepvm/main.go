// SPDX-License-Identifier: Apache-2.0

// Command skepvm boots a kernel of the matrix and runs a command in it.
package main

import (
	"cmp"
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/skep-io/skep/test/vm"
)

type pairs map[string]string

func (p pairs) String() string { return fmt.Sprint(map[string]string(p)) }

func (p pairs) Set(s string) error {
	guest, host, ok := strings.Cut(s, "=")
	if !ok {
		return fmt.Errorf("want guest=host, got %q", s)
	}
	p[guest] = host
	return nil
}

type list []string

func (l *list) String() string { return strings.Join(*l, " ") }

func (l *list) Set(s string) error {
	*l = append(*l, s)
	return nil
}

type options struct {
	kernel string
	list   bool
	guest  vm.Guest
}

func main() {
	o := parse()
	if o.list {
		printKernels()
		return
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code, err := run(ctx, o)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "skepvm:", err)
		code = 1
	}
	os.Exit(code)
}

func parse() options {
	o := options{guest: vm.Guest{Files: map[string]string{}, Output: os.Stdout}}
	flag.StringVar(&o.kernel, "kernel", "6.12", "kernel of the matrix, see -list")
	flag.BoolVar(&o.list, "list", false, "list the kernels")
	flag.BoolVar(&o.guest.ICount, "icount", false, "count instructions: one CPU, repeatable costs, slower")
	flag.BoolVar(&o.guest.CgroupV1, "cgroup1", false, "mount cgroup v1 memory and pids beside v2")
	flag.IntVar(&o.guest.MemMiB, "mem", 1024, "memory in MiB")
	flag.DurationVar(&o.guest.Timeout, "timeout", 10*time.Minute, "give up after this time")
	flag.Var(pairs(o.guest.Files), "file", "guest=host: copy a file into the guest (repeatable)")
	flag.Var((*list)(&o.guest.Env), "env", "NAME=value in the guest (repeatable)")
	flag.Usage = func() {
		fmt.Fprintln(flag.CommandLine.Output(), "usage: skepvm [flags] -- command [argument...]")
		flag.PrintDefaults()
	}
	flag.Parse()
	if flag.NArg() > 0 {
		o.guest.Commands = [][]string{flag.Args()}
	}
	o.guest.Env = append(o.guest.Env, "SKEP_KERNEL="+o.kernel)
	return o
}

func printKernels() {
	for _, k := range vm.Kernels() {
		fmt.Printf("%-13s %-9s lsm=%s lockdown=%s\n", k.Name, k.Suite, k.LSM, cmp.Or(k.Lockdown, "none"))
	}
}

// run returns the command's exit code.
func run(ctx context.Context, o options) (int, error) {
	k, err := vm.Lookup(o.kernel)
	if err != nil {
		return 0, err
	}
	result, err := vm.Run(ctx, k, o.guest)
	if err != nil {
		return 0, err
	}
	fmt.Fprintf(os.Stderr, "skepvm: %s: first command after %.1fs, all after %.1fs\n",
		result.Release, result.Boot.Seconds(), result.Total.Seconds())
	if len(result.Commands) == 0 {
		return 0, nil
	}
	return result.Commands[0].ExitCode, nil
}
