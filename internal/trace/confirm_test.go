// SPDX-License-Identifier: Apache-2.0

package trace

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/skep-io/skep/internal/bt"
)

// commanding runs a script, and answers each Confirm as answer does. It tells the order in which
// the script spoke and how often its map counted.
func commanding(t *testing.T, text string, confirms bool, answer func(end chan<- string)) (order string, counted int64, result Result) {
	t.Helper()
	s := start(t, text, bt.Options{Unsafe: true})
	s.options.Confirms = confirms
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	end := make(chan string, 1)
	result, err := s.Run(ctx, end, func(batch []Output) error {
		for _, o := range batch {
			switch o.Kind {
			case Attached:
				getsids()
			case Printf, System, Cat:
				order += fmt.Sprint(o.Kind, o.Text, " ")
			case Confirm:
				order += "confirm "
				getsids()
				answer(end)
			case MapDump:
				counted = o.Map.Entries[0].Value.Int
			}
		}
		return nil
	})
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return order, counted, result
}

// TestConfirm: a script that has said exit() stays attached until the commands before it are
// done, and does nothing that it says meanwhile.
func TestConfirm(t *testing.T) {
	text := fmt.Sprintf(`tracepoint:syscalls:sys_enter_getsid /pid == %d/ { @n++; if (@n == 5) { printf("a"); system("b"); cat("c"); printf("d"); exit(3); printf("never"); } }
		END { printf("e"); }`, os.Getpid())
	in := fmt.Sprintf("%va %vb %vc %vd ", Printf, System, Cat, Printf)
	last := fmt.Sprintf("%ve ", Printf)
	for _, c := range []struct {
		name, script string
		confirms     bool
		answer       string
		order        string
		least        int64 // that it counts; after the last question everything
	}{
		{"done", text, true, ConfirmedReason, in + "confirm " + last, 2 * provoked},
		{"asked to end", text, true, "asked", in + "confirm " + last, 2 * provoked},
		{"not for this listener", text, false, "", in + last, 5},
		{"no command", strings.NewReplacer(`system("b");`, "", `cat("c");`, "").Replace(text), true, "", fmt.Sprintf("%va %vd ", Printf, Printf) + last, 5},
	} {
		order, counted, result := commanding(t, c.script, c.confirms, func(end chan<- string) { end <- c.answer })
		if order != c.order || counted < c.least || counted > max(c.least, provoked) || result != (Result{3, "exit"}) {
			t.Errorf("%s: said %q, want %q; counted %d, at least %d are due; %+v", c.name, order, c.order, counted, c.least, result)
		}
	}
}

// TestConfirmedUnasked: an answer to no question ends nothing.
func TestConfirmedUnasked(t *testing.T) {
	s := start(t, `interval:ms:50 { exit(4); }`, bt.Options{})
	end := make(chan string, 1)
	end <- ConfirmedReason
	if result, err := s.Run(t.Context(), end, func([]Output) error { return nil }); err != nil || result != (Result{4, "exit"}) {
		t.Errorf("%+v, %v", result, err)
	}
}

// TestConfirmEnding: what is asked to end, and is found to have said exit() just then, does not wait
// for who has not done its commands, but for who does them now.
func TestConfirmEnding(t *testing.T) {
	for _, answers := range []bool{false, true} {
		for range 5 { // each time either may be seen first
			s := start(t, `BEGIN { system("x"); exit(5); }`, bt.Options{Unsafe: true})
			s.options.Confirms = true
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			end, asked := make(chan string, 2), false
			end <- "timeout"
			result, err := s.Run(ctx, end, func(batch []Output) error {
				if slices.ContainsFunc(batch, func(o Output) bool { return o.Kind == Confirm }) {
					asked = true
					if answers {
						end <- ConfirmedReason
					}
				}
				return nil
			})
			if err != nil || result != (Result{5, "exit"}) || !asked {
				t.Errorf("answers %v: %+v, %v, asked %v", answers, result, err, asked)
			}
			cancel()
		}
	}
}

// TestConfirmListenerGone: nobody answers, and the script ends all the same.
func TestConfirmListenerGone(t *testing.T) {
	s := start(t, `BEGIN { system("x"); exit(); }`, bt.Options{Unsafe: true})
	s.options.Confirms = true
	ctx, cancel := context.WithCancel(t.Context())
	_, err := s.Run(ctx, nil, func(batch []Output) error {
		if batch[len(batch)-1].Kind == Confirm {
			cancel()
		}
		return nil
	})
	if err == nil {
		t.Error("ended as if it were confirmed")
	}
}
