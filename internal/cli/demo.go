// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	skepv1 "github.com/skep-io/skep/api/skep/v1"
	"github.com/skep-io/skep/internal/demo"
)

type demoFlags struct {
	step   bool
	output string
}

const demoLong = `Play harmless look-alikes of what nobody wants to find on a host, and show
what skep tells of each: process, container, name, bytes. The scenes:

%s
They are played in network, pid and mount namespaces of their own, where there
is a loopback device and nothing else, and in a cgroup that looks like a Docker
container's; no packet leaves this host. It takes some ten seconds and cleans up
after itself. With names of scenes only those are played.

Needs root. Uses the agent that runs, whose records of the demo stay like any
others; or else a private one.

Output (-o):

    text  the walk through; colour on a terminal
    json  one JSON object per scene: name, title, seen (records), missing, skipped

Exit status: 0 when skep has shown all that it must, 1 when something is
missing. Others as in "skep --help".`

const demoExample = `  # All of it
  sudo skep demo

  # One scene, and Enter goes on
  sudo skep demo --step reverse-shell`

func (a *app) demoCmd() *cobra.Command {
	var f demoFlags
	var list strings.Builder
	var names []string
	for _, s := range demo.Scenes() {
		fmt.Fprintf(&list, "    %s\n%s\n", s.Name, wrap(s.Story, "        ", demoColumns))
		names = append(names, s.Name)
	}
	cmd := &cobra.Command{
		Use:       "demo [SCENE...]",
		Short:     "Play a reverse shell, a miner and other look-alikes, and show what skep tells of them",
		Long:      fmt.Sprintf(demoLong, list.String()),
		Example:   demoExample,
		ValidArgs: names,
		Args: func(_ *cobra.Command, args []string) error {
			for _, arg := range args {
				if !slices.Contains(names, arg) {
					return usage("no scene is called %q; there are %s", arg, strings.Join(names, ", "))
				}
			}
			return nil
		},
		PreRunE: func(*cobra.Command, []string) error { return checkOutput(f.output, "text", "json") },
		RunE: func(cmd *cobra.Command, args []string) error {
			if os.Geteuid() != 0 {
				return fail(exitRefused, "the demo makes namespaces and a cgroup: run it as root, with sudo")
			}
			return a.withAgent(func(ctx context.Context, a *app, c *client, names []string) error {
				return a.demo(ctx, c, f, names)
			})(cmd, args)
		},
	}
	cmd.Flags().BoolVar(&f.step, "step", false, "wait for Enter after each scene")
	outputFlag(cmd, &f.output, "text", "text", "json")
	return cmd
}

func (a *app) demoStageCmd() *cobra.Command {
	return &cobra.Command{
		Use:    demo.Verb + " DIRECTORY [ACT]",
		Short:  "Where skep demo plays",
		Long:   "Be the stage of skep demo, which runs this; or, with an act, one of its programs.\n\nExit status: as in \"skep --help\".",
		Hidden: true,
		Args:   cobra.RangeArgs(1, 2),
		RunE: func(_ *cobra.Command, args []string) error {
			return demo.Main(args[0], args[1:], os.Stdin, os.Stdout)
		},
	}
}

// stageComm is the name of the stage's own process.
const stageComm = "skep"

// pause is the time to read a scene on a terminal.
const pause = 4 * time.Second

// played is what became of a scene.
type played struct {
	demo.Scene
	number, of int
	seen       []*skepv1.Record
	missing    []string
	skipped    string
}

func (a *app) demo(ctx context.Context, c *client, f demoFlags, names []string) error {
	scenes := demo.Scenes()
	if len(names) > 0 {
		scenes = slices.DeleteFunc(scenes, func(s demo.Scene) bool { return !slices.Contains(names, s.Name) })
	}
	began := time.Now()
	stage, err := demo.Open(ctx)
	if err != nil {
		return err
	}
	records, err := a.playAll(ctx, c, f, stage, scenes)
	if err := errors.Join(err, stage.Close()); err != nil {
		return err
	}
	if f.output == "text" {
		fmt.Fprintf(a.out, "skep has told all it must, in %d records and %s; nothing of the demo is left.\n", records, formatDuration(time.Since(began)))
	}
	return nil
}

// playAll plays the scenes and says how many records told of them; it fails quietly if
// something is missing.
func (a *app) playAll(ctx context.Context, c *client, f demoFlags, stage *demo.Stage, scenes []demo.Scene) (records int, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	told, err := follow(ctx, c, stage.Container)
	if err != nil {
		return 0, err
	}
	missing := 0
	for i, s := range scenes {
		p := played{Scene: s, number: i + 1, of: len(scenes)}
		if err := a.playOne(ctx, c, f, stage, told, &p); err != nil {
			return 0, err
		}
		missing, records = missing+len(p.missing), records+len(p.seen)
		if i < len(scenes)-1 {
			a.between(ctx, f.step)
		}
	}
	if missing > 0 {
		fmt.Fprintln(a.err, `skep: something is missing; "skep doctor" says which signals this kernel has, skep.yaml which are switched off`)
		return 0, errQuiet
	}
	return records, nil
}

func (a *app) playOne(ctx context.Context, c *client, f demoFlags, stage *demo.Stage, told <-chan *skepv1.Record, p *played) error {
	if f.output == "text" {
		a.announce(*p)
	}
	if err := p.play(ctx, stage, told); err != nil {
		return err
	}
	if f.output == "json" {
		return a.demoJSON(*p)
	}
	return a.walkThrough(*p, c.private)
}

// between gives the reader time.
func (a *app) between(ctx context.Context, step bool) {
	var next <-chan time.Time
	enter := make(chan struct{})
	switch {
	case step:
		fmt.Fprint(a.err, "Enter goes on ")
		go func() {
			defer close(enter)
			_, _ = bufio.NewReader(os.Stdin).ReadString('\n')
		}()
	case a.screen.terminal:
		next = time.After(pause)
	default:
		return
	}
	select {
	case <-enter:
	case <-next:
	case <-ctx.Done():
	}
}

// follow sends what the agent tells of a container from now on; the channel is closed with
// the stream.
func follow(ctx context.Context, c *client, container string) (<-chan *skepv1.Record, error) {
	stream, err := c.Observe(ctx, &skepv1.ObserveRequest{Follow: true, Filter: &skepv1.Filter{Containers: []string{container}}})
	if err != nil {
		return nil, err
	}
	for live := false; !live; live = stream.Msg().GetLive() {
		if !stream.Receive() {
			return nil, errors.Join(stream.Err(), stream.Close())
		}
	}
	told := make(chan *skepv1.Record, 1024)
	go func() {
		defer close(told)
		defer stream.Close()
		for stream.Receive() {
			for _, r := range stream.Msg().GetRecords() {
				told <- r
			}
		}
	}()
	return told, nil
}

// play plays the scene and takes what is told of it, until nothing is missing or it is late.
func (p *played) play(ctx context.Context, stage *demo.Stage, told <-chan *skepv1.Record) error {
	if why := stage.CanPlay(p.Scene); why != nil {
		p.skipped = why.Error()
		return nil
	}
	over := make(chan error, 1)
	go func() { over <- stage.Play(p.Scene) }()
	late := time.NewTimer(time.Hour)
	defer late.Stop()
	for playing := true; playing || len(p.Missing(p.seen)) > 0; {
		select {
		case err := <-over:
			if err != nil {
				return err
			}
			playing = false
			late.Reset(p.Wait)
		case r, ok := <-told:
			if !ok && ctx.Err() != nil {
				return ctx.Err()
			}
			if !ok {
				return fail(exitNoAgent, "the agent went away")
			}
			// The stage itself, which is also those who are talked to, is not part of the play.
			if r.GetProcess().GetComm() != stageComm {
				p.seen = append(p.seen, r)
			}
		case <-late.C:
			p.missing = p.Missing(p.seen)
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

func (a *app) demoJSON(p played) error {
	object := struct {
		Name    string            `json:"name"`
		Title   string            `json:"title"`
		Seen    []json.RawMessage `json:"seen"`
		Missing []string          `json:"missing,omitempty"`
		Skipped string            `json:"skipped,omitempty"`
	}{p.Name, p.Title, []json.RawMessage{}, p.missing, p.skipped}
	for _, r := range p.seen {
		object.Seen = append(object.Seen, jsonPrinter{a}.record(nil, r))
	}
	return json.NewEncoder(a.out).Encode(object)
}
