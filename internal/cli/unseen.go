// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	skepv1 "github.com/skep-io/skep/api/skep/v1"
)

// signalsOf are the signals that make the records of a kind, where both have other names.
var signalsOf = map[string][]string{
	"connect": {"tcp"}, "accept": {"tcp"}, "close": {"tcp"}, "listen": {"tcp"},
	"host": {"ptrace", "mount", "setns", "unshare", "module", "bpf", "setuid", "kill", "memfd", "capability"},
}

// tellUnseen says on the standard error why there may be less than what was asked for: the
// past that is known begins later, or nobody watches what a kind is about.
func (a *app) tellUnseen(ctx context.Context, c *client, req *skepv1.ObserveRequest) {
	from := req.GetFrom().AsTime()
	if req.GetFrom() == nil {
		from = time.Now().Add(-req.GetSince().AsDuration())
	}
	asked := req.GetFilter().GetKinds()
	if req.GetFrom() == nil && req.GetSince() == nil && len(asked) == 0 {
		return
	}
	status, err := c.GetStatus(ctx, &skepv1.GetStatusRequest{})
	switch {
	case ctx.Err() != nil: // Ctrl-C is how to end an answer that is long
		return
	case err != nil: // what was asked for has been shown
		fmt.Fprintf(a.err, "skep: how much of the past is known could not be asked: %v\n", err)
		return
	}
	known := status.GetStarted().AsTime()
	if oldest := status.GetStore().GetOldest(); oldest != nil && oldest.AsTime().Before(known) {
		known = oldest.AsTime()
	}
	if (req.GetFrom() != nil || req.GetSince() != nil) && from.Before(known) {
		fmt.Fprintf(a.err, "skep: the past that is known begins at %s\n", known.Local().Format("2006-01-02 15:04:05"))
	}
	for _, kind := range asked {
		if off := unwatched(kind, status.GetSignals()); off != "" {
			fmt.Fprintf(a.err, "skep: nothing makes records of kind %s now: %s\n", kind, off)
		}
	}
}

// unwatched is why no signal of a kind is watched; empty if one is, or none is known. The
// signal of files is there only with a path.
func unwatched(kind string, signals []*skepv1.SignalStatus) string {
	names := signalsOf[kind]
	if names == nil {
		names = []string{kind}
	}
	var why []string
	for _, s := range signals {
		if !slices.Contains(names, s.GetSignal()) {
			continue
		}
		if s.GetAvailable() && s.GetRung() != "" {
			return ""
		}
		for _, r := range s.GetRungs() {
			if !slices.Contains(why, r.GetReason()) {
				why = append(why, r.GetReason())
			}
		}
		if len(why) == 0 {
			why = []string{"see skep doctor"}
		}
	}
	if len(why) == 0 && kind == "file" {
		return "sensors.files.paths of skep.yaml names no path"
	}
	return strings.Join(why, "; ")
}
