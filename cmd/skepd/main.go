// SPDX-License-Identifier: Apache-2.0

// Command skepd is the privileged agent of skep.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/proto"

	skepv1 "github.com/skep-io/skep/api/skep/v1"
	"github.com/skep-io/skep/internal/agent"
	"github.com/skep-io/skep/internal/config"
	"github.com/skep-io/skep/internal/event/filters"
	"github.com/skep-io/skep/internal/kern"
	"github.com/skep-io/skep/internal/version"
)

func main() {
	// Whoever reads the log may go away; that is no reason to die (Go's default on stderr).
	signal.Ignore(syscall.SIGPIPE)
	ctx, reload, stop := signals(context.Background())
	defer stop()
	running := false
	root := command(reload)
	root.PersistentPreRun = func(*cobra.Command, []string) { running = true }
	if err := root.ExecuteContext(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "skepd:", err)
		if !running { // cobra refused the arguments
			os.Exit(exitUsage)
		}
		os.Exit(exitFailed)
	}
}

const (
	exitFailed = 1
	exitUsage  = 2
)

// flags are those of every subcommand that reads the configuration.
type flags struct {
	config, socket, dataDir string
	private, ephemeral      bool
	noShip                  bool
	scripts                 bool
	scratch                 string
	readyFD                 int
	webUID                  uint32 // 0: none
	force                   map[string]string
	budgetSecond            time.Duration
}

func command(reload <-chan struct{}) *cobra.Command {
	root := &cobra.Command{
		Use:           "skepd",
		Short:         "The agent of skep: sees every process and connection of this host",
		Long:          "skepd loads skep's BPF programs, keeps the process and connection tables and serves them on a unix socket.\nAsk it with `skep`.",
		Version:       version.String(),
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.AddCommand(runCommand(reload), doctorCommand(), removeCommand(), closeLogCommand(), checkCommand())
	return root
}

func (f *flags) add(c *cobra.Command) {
	c.Flags().StringVar(&f.config, "config", "", "configuration file (default "+config.DefaultPath+", if it is there)")
	c.Flags().StringVar(&f.socket, "socket", "", "unix socket of the API, instead of the configured one")
	c.Flags().StringVar(&f.dataDir, "data-dir", "", "data directory, instead of the configured one")
	c.Flags().StringToStringVar(&f.force, "force-rung", nil, "try only this rung of a signal's ladder, as signal=rung (for tests)")
	if err := c.Flags().MarkHidden("force-rung"); err != nil {
		panic(err) // the flag was added one line above
	}
}

// checkFilter is of filters that ask nothing about the world, as those of outputs.
func checkFilter(spec *skepv1.Filter) error {
	_, err := filters.Compile(spec, filters.Deps{})
	return err
}

func (f *flags) load() (config.Config, error) {
	cfg, err := config.Find(f.config, checkFilter)
	if err != nil {
		return cfg, err
	}
	return f.over(cfg), nil
}

// path is where the configuration is looked for.
func (f *flags) path() string {
	if f.config != "" {
		return f.config
	}
	return config.DefaultPath
}

// over puts what the command line says over a configuration.
func (f *flags) over(cfg config.Config) config.Config {
	if f.socket != "" {
		cfg.Socket = f.socket
	}
	if f.dataDir != "" {
		cfg.DataDir = f.dataDir
	}
	if f.noShip {
		cfg.Ship, cfg.Listen = nil, config.Listen{}
	}
	if f.webUID > 0 {
		cfg.Roles.WebUser = strconv.FormatUint(uint64(f.webUID), 10)
	}
	return cfg
}

func runCommand(reload <-chan struct{}) *cobra.Command {
	var f flags
	c := &cobra.Command{
		Use:   "run",
		Short: "Run the agent in the foreground until SIGTERM or SIGINT",
		Long: `Run the agent in the foreground until SIGTERM or SIGINT, or until its terminal
goes away. Further signals change nothing: a stop takes at most some seconds.

SIGHUP reads the configuration again. What can change while the agent runs does,
without a record lost; what cannot is named in the log and stays as it was.

The BPF programs are pinned and go on when the agent ends: the next one takes
over and reads what happened meanwhile. "skepd remove" takes them away.

Exit status: 0 after a clean stop, 1 if the agent could not start or go on, 2 for
wrong usage.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return f.run(c.Context(), reload) },
	}
	f.add(c)
	c.Flags().BoolVar(&f.private, "private", false, "pin nothing: nothing is left when the agent ends, however it ends")
	c.Flags().BoolVar(&f.ephemeral, "ephemeral", false, "take the pinned programs away at a clean stop")
	c.Flags().BoolVar(&f.scripts, "scripts", false, "with --private: run scripts only, without sensors")
	c.Flags().DurationVar(&f.budgetSecond, "budget-second", time.Second, "how long a second of the budget takes (for tests)")
	c.Flags().StringVar(&f.scratch, "scratch", "", "directory to remove with all that is in it when a private agent ends")
	for _, name := range []string{"budget-second", "scratch", "scripts"} {
		if err := c.Flags().MarkHidden(name); err != nil {
			panic(err) // the flag was added above
		}
	}
	c.Flags().BoolVar(&f.noShip, "no-ship", false, "send nothing on and listen on no port for other hosts, whatever the configuration says")
	c.Flags().IntVar(&f.readyFD, "ready-fd", -1, "write one byte to this file descriptor once the agent answers")
	c.Flags().Uint32Var(&f.webUID, "web-uid", 0, "user id of skep serve, which gets role view")
	return c
}

func (f *flags) run(ctx context.Context, reload <-chan struct{}) (err error) {
	if f.scratch != "" {
		if !f.private {
			return errors.New("use --scratch: it is for private agents; add --private")
		}
		// skep removes it too, unless it is killed, and this agent ends with it.
		defer func() { err = errors.Join(err, os.RemoveAll(f.scratch)) }()
	}
	if f.scripts && !f.private {
		return errors.New("use --scripts: it is for private agents; add --private")
	}
	if err := checkReadyFD(f.readyFD); err != nil {
		return err
	}
	if f.budgetSecond <= 0 || f.budgetSecond > time.Second {
		return fmt.Errorf("use --budget-second: it is %v; give more than 0s and at most 1s", f.budgetSecond)
	}
	cfg, err := f.load()
	if err != nil {
		f.failed(err)
		return err
	}
	level, tail := new(slog.LevelVar), &agent.Tail{}
	err = agent.Run(ctx, agent.Options{
		Config: cfg, ConfigPath: f.path(), Version: version.String(), Private: f.private, Scripts: f.scripts, Ephemeral: f.ephemeral, Force: f.force, Second: f.budgetSecond,
		Load: f.load, Reload: reload, Ready: f.ready, Level: level, Tail: tail,
		// The tail first: nobody may read the other one.
		Logger: logger(cfg.Log, level, io.MultiWriter(tail, os.Stderr)),
	})
	if err != nil {
		f.failed(err)
	}
	return err
}

func doctorCommand() *cobra.Command {
	var f flags
	c := &cobra.Command{
		Use:    "doctor",
		Short:  "Probe this host and print the result as a protobuf GetDoctorResponse; use skep doctor",
		Hidden: true,
		Args:   cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			if info, err := os.Stdout.Stat(); err == nil && info.Mode()&os.ModeCharDevice != 0 {
				return errors.New("doctor: writes protobuf, not for a terminal; run skep doctor")
			}
			cfg, fault := f.load()
			if fault != nil { // what is wrong with it is a part of the report
				cfg = f.over(config.Default())
			}
			found := agent.Configured{Config: cfg, Path: f.path(), Err: fault}
			out, err := proto.Marshal(agent.Doctor(found, f.force, logger(cfg.Log, new(slog.LevelVar), os.Stderr)))
			if err != nil {
				return fmt.Errorf("encode report: %w", err)
			}
			_, err = os.Stdout.Write(out)
			return err
		},
	}
	f.add(c)
	return c
}

func checkCommand() *cobra.Command {
	return &cobra.Command{
		Use:    "check FILE",
		Short:  "Check a configuration file; use skep config check",
		Hidden: true,
		Args:   cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			_, err := config.Load(args[0], checkFilter)
			return err
		},
	}
}

func removeCommand() *cobra.Command {
	var f flags
	c := &cobra.Command{
		Use:   "remove",
		Short: "Take skep's pinned programs, links and maps away",
		Long:  "Take skep's pinned programs, links and maps away. Stop the agent first.",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			cfg, err := f.load()
			if err != nil && f.config != "" {
				return err
			}
			if err != nil { // it may be why skep has to go
				fmt.Fprintln(os.Stderr, "skepd: using the default BPF filesystem, as there is a fault in the configuration:", err)
				cfg.BPFFS = config.Default().BPFFS
			}
			return kern.RemovePins(cfg.BPFFS)
		},
	}
	f.add(c)
	return c
}

// logger's level may be changed later.
func logger(cfg config.Log, level *slog.LevelVar, out io.Writer) *slog.Logger {
	_ = level.UnmarshalText([]byte(strings.ToUpper(cfg.Level))) // checked when the file was read
	options := &slog.HandlerOptions{Level: level}
	if cfg.Format == "json" {
		return slog.New(slog.NewJSONHandler(out, options))
	}
	return slog.New(slog.NewTextHandler(out, options))
}
