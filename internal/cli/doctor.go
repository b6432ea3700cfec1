// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os/exec"
	"slices"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/proto"

	skepv1 "github.com/skep-io/skep/api/skep/v1"
	"github.com/skep-io/skep/internal/event"
)

const doctorLong = `Check whether the agent can run on this host and how well: kernel, configuration,
capabilities, data directory and socket, and for every signal the rung of its
ladder of hooks that is used, why not a higher one, what the lower one cannot do,
and what to change.

A reason that several signals share is told once. Of signals that are not wanted
only that is told, and what would turn them on; --verbose tells all of it.

A running agent is asked. Without one, "skepd doctor" makes the same probes
now; as another user than root it can say less.

Exit status: 0 if the agent can run here, 1 if not. Others as in "skep --help".`

const doctorExample = `  # Can it run here?
  sudo skep doctor

  # Signals that are not on their best rung
  skep doctor -o json | jq -r '.signals[] | select(.advice) | .signal'`

func (a *app) doctorCmd() *cobra.Command {
	var output string
	var verbose bool
	cmd := &cobra.Command{
		Use:         "doctor",
		Annotations: asksMany,
		Short:       "Check whether the agent can run here, and how well",
		Long:        doctorLong,
		Example:     doctorExample,
		Args:        noArgs,
		PreRunE:     func(*cobra.Command, []string) error { return checkOutput(output, "table", "json") },
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(a.hosts) > 0 {
				return a.askHosts(cmd.Context(), args, func(ctx context.Context, a *app, c *client, _ []string) error {
					got, err := c.GetDoctor(ctx, &skepv1.GetDoctorRequest{})
					if err != nil {
						return err
					}
					return a.showDoctor(got, output, verbose)
				})
			}
			got, err := a.examine(cmd.Context())
			if err != nil {
				return err
			}
			return a.showDoctor(got, output, verbose)
		},
	}
	cmd.Flags().BoolVarP(&verbose, "verbose", "v", false, "of signals that are not wanted, too, tell the rungs and what each lacks here")
	outputFlag(cmd, &output, "table", "table", "json")
	return cmd
}

func (a *app) showDoctor(got *skepv1.GetDoctorResponse, output string, verbose bool) (err error) {
	if output == "json" {
		err = printJSON(a, got)
	} else {
		err = a.print(doctorPage(a.screen, got, verbose))
	}
	if err == nil && !got.GetOk() {
		return &exitError{exitFailed, errQuiet}
	}
	return err
}

// examine asks the agent, or skepd itself where none runs or where we may
// not ask it.
func (a *app) examine(ctx context.Context) (*skepv1.GetDoctorResponse, error) {
	absent := probe(ctx, a.socket)
	if absent == nil {
		c := newClient(a.socket, a.timeout)
		defer c.close()
		return c.GetDoctor(ctx, &skepv1.GetDoctorRequest{})
	}
	if a.socketSet || !nobody(absent) && !errors.Is(absent, fs.ErrPermission) {
		return nil, a.explainAbsent(absent)
	}
	fmt.Fprintf(a.err, "skep: no agent at %s; probing without one\n", a.socket)
	return examineWithout(ctx)
}

// examineWithout runs "skepd doctor", which prints a GetDoctorResponse as
// binary protobuf on its standard output.
func examineWithout(ctx context.Context) (*skepv1.GetDoctorResponse, error) {
	path, err := sibling("skepd")
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	log := &tail{}
	cmd := exec.CommandContext(ctx, path, "doctor")
	cmd.Stdout, cmd.Stderr = &out, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("probe this host with skepd doctor: %w%s", err, log.quote())
	}
	var got skepv1.GetDoctorResponse
	if err := proto.Unmarshal(out.Bytes(), &got); err != nil {
		return nil, fmt.Errorf("read what skepd doctor found: %w; are %s and skep of the same version?", err, path)
	}
	return &got, nil
}

func doctorPage(s screen, d *skepv1.GetDoctorResponse, verbose bool) string {
	v := &sheet{screen: s}
	v.hostile("Kernel", d.GetKernelRelease()+" "+d.GetArchitecture())
	if d.GetOk() {
		v.line("Verdict", s.paint(green, "the agent can run here"))
	} else {
		v.line("Verdict", s.paint(loud, "the agent cannot run here"))
	}
	v.section("Checks")
	for _, c := range d.GetChecks() {
		v.check(c)
	}
	v.section("Signals")
	told := map[string]string{}
	signals := d.GetSignals()
	for i, sig := range signals {
		switch alike := offAlike(signals, i); {
		case verbose || len(alike) == 0:
			v.signal(sig, told, verbose)
		case alike[0] == sig.GetSignal():
			v.off(strings.Join(alike, ", ")+" "+intent(sig), whyOff(sig))
		}
	}
	return v.String()
}

func (v *sheet) check(c *skepv1.Check) {
	mark := map[string]string{"ok": v.screen.paint(green, "ok  "), "warn": v.screen.paint(yellow, "warn"), "fail": v.screen.paint(loud, "FAIL")}[c.GetResult()]
	if mark == "" {
		mark = event.Printable(c.GetResult())
	}
	fmt.Fprintf(v, "  %s  %s", mark, event.Printable(c.GetName()))
	if c.GetDetail() != "" {
		fmt.Fprintf(v, ": %s", event.Printable(c.GetDetail()))
	}
	v.WriteByte('\n')
	v.advice(c.GetAdvice())
}

func (v *sheet) advice(text string) {
	if text != "" {
		fmt.Fprintf(v, "        %s %s\n", v.screen.glyph("→", "=>"), event.Printable(text))
	}
}

// signal tells of one; told are the reasons that have been given, each with the signal that it
// was given for.
func (v *sheet) signal(s *skepv1.SignalStatus, told map[string]string, verbose bool) {
	mark, rung := v.screen.paint(green, "ok  "), s.GetRung()
	switch {
	case isShed(s):
		mark, rung = v.screen.paint(loud, "shed"), s.GetRungs()[0].GetReason()
	case switchedOff(s):
		mark, rung = v.screen.paint(dim, "off "), whyOff(s)
	case !s.GetAvailable():
		mark, rung = v.screen.paint(loud, "none"), "no rung works here"
	case len(s.GetLimits()) > 0 && !onBestRung(s):
		mark = v.screen.paint(yellow, "less")
	}
	fmt.Fprintf(v, "  %s  %s: %s\n", mark, event.Printable(strings.TrimSpace(s.GetSignal()+" "+intent(s))), event.Printable(rung))
	v.rungs(s, told)
	for _, l := range s.GetLimits() {
		fmt.Fprintf(v, "        cannot: %s\n", event.Printable(l))
	}
	v.advice(s.GetAdvice())
}

// rungs tells why those that are not used are not, those of one reason in a line.
func (v *sheet) rungs(s *skepv1.SignalStatus, told map[string]string) {
	var reasons []string
	names := map[string][]string{}
	for _, r := range s.GetRungs() {
		if r.GetState() == "used" || r.GetState() == "skipped" || r.GetState() == "shed" {
			continue
		}
		reason := or(r.GetReason(), r.GetState())
		if names[reason] == nil {
			reasons = append(reasons, reason)
		}
		names[reason] = append(names[reason], r.GetName())
	}
	for _, reason := range reasons {
		text := reason
		if before, ok := told[reason]; ok {
			text = "as for " + before
		} else {
			told[reason] = s.GetSignal()
		}
		fmt.Fprintf(v, "        not %s: %s\n", event.Printable(strings.Join(names[reason], ", ")), event.Printable(text))
	}
}

// isShed tells of a signal whose sensor the agent has detached to keep its budget.
func isShed(s *skepv1.SignalStatus) bool {
	return !s.GetAvailable() && len(s.GetRungs()) > 0 && s.GetRungs()[0].GetState() == "shed"
}

// switchedOff tells of a signal that may be had here, and is not wanted.
func switchedOff(s *skepv1.SignalStatus) bool {
	return !s.GetAvailable() && slices.ContainsFunc(s.GetRungs(), func(r *skepv1.RungStatus) bool { return r.GetState() == "off" })
}

// whyOff is why a signal is not wanted and what would turn it on, by the rung that would be used.
func whyOff(s *skepv1.SignalStatus) string {
	for _, r := range s.GetRungs() {
		if r.GetState() == "off" {
			return r.GetReason()
		}
	}
	return ""
}

// offAlike are the signals that are not wanted for the same reason as the one at i, itself among
// them; none if that one is wanted.
func offAlike(signals []*skepv1.SignalStatus, i int) (names []string) {
	if isShed(signals[i]) || !switchedOff(signals[i]) {
		return nil
	}
	for _, s := range signals {
		if !isShed(s) && switchedOff(s) && whyOff(s) == whyOff(signals[i]) && s.GetIntent() == signals[i].GetIntent() {
			names = append(names, s.GetSignal())
		}
	}
	return names
}

// off tells of signals that are not wanted, for one reason.
func (v *sheet) off(signals, reason string) {
	fmt.Fprintf(v, "  %s  %s: %s\n", v.screen.paint(dim, "off "), event.Printable(strings.TrimSpace(signals)), event.Printable(reason))
}

func onBestRung(s *skepv1.SignalStatus) bool {
	return len(s.GetRungs()) > 0 && s.GetRung() == s.GetRungs()[0].GetName()
}

func intent(s *skepv1.SignalStatus) string {
	if s.GetIntent() == "" {
		return ""
	}
	return "(" + s.GetIntent() + ")"
}

func or(a, b string) string {
	if a != "" {
		return a
	}
	return b
}
