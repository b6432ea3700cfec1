// SPDX-License-Identifier: Apache-2.0

package demo

import (
	"time"

	skepv1 "github.com/skep-io/skep/api/skep/v1"
)

// A Scene is one look-alike and what skep must tell of it.
type Scene struct {
	Name  string
	Title string
	// Story says what happens.
	Story string
	// Look says what in the records gives it away.
	Look string
	// Kinds are worth showing of this scene.
	Kinds []string
	// Expect must all be met.
	Expect []Expectation
	// Wait is how long the last record may take after the scene has ended.
	Wait time.Duration
	// Limited: the scene needs a cgroup that limits memory.
	Limited bool

	play func(*inside) error
}

// An Expectation is met when as many records as Count match.
type Expectation struct {
	What  string
	Count int
	Match func(*skepv1.Record) bool
}

const (
	promptly = 10 * time.Second
	// An unanswered query is told 5 s after it was sent.
	patiently = 20 * time.Second
)

// crashes is how often the crash loop crashes.
const crashes = 4

// Scenes returns all scenes, in the order in which they are played.
func Scenes() []Scene {
	return []Scene{
		{
			Name: "reverse-shell", Title: "A reverse shell",
			Story: "An updater connects out and becomes a shell that the other side types into.",
			Look: "The shell has the process_id of the program that connected, and the connection's bytes are the shell's:" +
				" what was typed into it came from the network. What the shell starts has it as ancestor.",
			Kinds: []string{"exec", "connect", "close", "exit"},
			Expect: []Expectation{
				one("the connection out", func(r *skepv1.Record) bool {
					return r.GetKind() == "connect" && r.GetConnection().GetRemote().GetAddress() == attacker && r.GetProcess().GetComm() == "updater"
				}),
				one("the shell", func(r *skepv1.Record) bool { return r.GetKind() == "exec" && r.GetProcess().GetComm() == "sh" }),
				one("what was typed and answered", func(r *skepv1.Record) bool {
					c := r.GetConnection()
					return r.GetKind() == "close" && c.GetRemote().GetAddress() == attacker && c.GetBytesReceived() == uint64(len(typed)) && c.GetBytesSent() > 0
				}),
			},
			Wait: promptly, play: (*inside).reverseShell,
		},
		{
			Name: "miner", Title: "A miner",
			Story: "A program without a file, under the name of a kernel thread, asks for a pool's name and talks to it.",
			Look: "No kernel thread has an executable: this one runs from a memfd, which is marked. The connection has the" +
				" name that was asked for, and its bytes.",
			Kinds: []string{"exec", "dns", "connect", "close"},
			Expect: []Expectation{
				one("a program from memory", func(r *skepv1.Record) bool { return r.GetKind() == "exec" && r.GetExec().GetMemfd() }),
				one("the pool's name", func(r *skepv1.Record) bool {
					return r.GetKind() == "dns" && r.GetDns().GetName() == poolName && r.GetDns().GetRcode() == "NOERROR"
				}),
				one("the connection by that name", func(r *skepv1.Record) bool {
					return r.GetKind() == "close" && r.GetConnection().GetRemoteName() == poolName && r.GetConnection().GetBytesSent() > 0
				}),
			},
			Wait: promptly, play: (*inside).miner,
		},
		{
			Name: "dns-failure", Title: "Names that fail",
			Story: "A backup job asks for a name that does not exist, then for one whose server never answers.",
			Look: "Each query is a record with its process, its server and what came of it; the one without an answer is told" +
				" 5 seconds after it was sent.",
			Kinds: []string{"exec", "dns"},
			Expect: []Expectation{
				one("NXDOMAIN", func(r *skepv1.Record) bool {
					return r.GetDns().GetName() == missingName && r.GetDns().GetRcode() == "NXDOMAIN"
				}),
				one("the unanswered query", func(r *skepv1.Record) bool {
					return r.GetDns().GetName() == silentName && r.GetDns().GetOutcome() == "unanswered"
				}),
			},
			Wait: patiently, play: (*inside).dnsFailure,
		},
		{
			Name: "oom", Title: "An OOM kill",
			Story: "A cache grows past its container's memory limit.",
			Look: "The victim is named with its container, beside the cgroup's limit and usage; its exit has the signal and the" +
				" peak of its memory.",
			Kinds: []string{"exec", "oom", "exit"},
			Expect: []Expectation{
				one("the victim", func(r *skepv1.Record) bool { return r.GetKind() == "oom" && r.GetProcess().GetComm() == "cache" }),
				one("its end", func(r *skepv1.Record) bool {
					return r.GetKind() == "exit" && r.GetProcess().GetComm() == "cache" && r.GetExit().GetSignalName() == "SIGKILL"
				}),
			},
			Wait: promptly, Limited: true, play: (*inside).oom,
		},
		{
			Name: "crash-loop", Title: "A crash loop",
			Story: "A worker crashes as soon as it runs, and is started again and again.",
			Look:  "Each life is an exec and an exit with its signal, its duration and one and the same parent.",
			Kinds: []string{"exec", "exit"},
			Expect: []Expectation{{What: "the crashes", Count: crashes, Match: func(r *skepv1.Record) bool {
				return r.GetKind() == "exit" && r.GetProcess().GetComm() == "sh" && r.GetExit().GetSignalName() == "SIGSEGV"
			}}},
			Wait: promptly, play: (*inside).crashLoop,
		},
	}
}

func one(what string, match func(*skepv1.Record) bool) Expectation {
	return Expectation{What: what, Count: 1, Match: match}
}

// Missing returns what of a scene the records do not show.
func (s Scene) Missing(records []*skepv1.Record) (missing []string) {
	for _, e := range s.Expect {
		n := 0
		for _, r := range records {
			if e.Match(r) {
				n++
			}
		}
		if n < e.Count {
			missing = append(missing, e.What)
		}
	}
	return missing
}
