// SPDX-License-Identifier: Apache-2.0

package process

import (
	"fmt"
	"os"
	"runtime"
	"strings"
	"testing"

	"github.com/skep-io/skep/test/e2e/skepdtest"
)

// verbEnv makes the test binary a helper process: a verb and its arguments, each after a "|".
// It is in the environment because the arguments are what many tests are about.
const verbEnv = "SKEP_E2E_VERB"

// The first thread stays with the first goroutine, which some verbs rely on.
func init() { runtime.LockOSThread() }

func TestMain(m *testing.M) {
	if verb := os.Getenv(verbEnv); verb != "" {
		help(strings.Split(verb, "|"))
	}
	os.Exit(skepdtest.Main(m))
}

// verbs are what a helper process can do. A verb that returns an error ends with exit code 120.
var verbs = map[string]func(args []string) error{
	"truth":      printTruth,
	"exec":       execNext,
	"storm":      storm,
	"fexec":      execDescriptor,
	"thread":     execFromThread,
	"forks":      forkWithoutExec,
	"sibling":    forkSibling,
	"orphan":     forkOrphan,
	"threads":    startThreads,
	"leader":     leaveLeader,
	"race":       raceThreads,
	"exit":       exitWith,
	"signal":     killSelf,
	"burn":       burn,
	"eat":        eat,
	"wait":       waitForInput,
	"fail":       failExec,
	"nonewprivs": noNewPrivs,
	"reuse":      reusePid,
	"crowd":      crowd,
	"fexec wait": waitInMemfd,
	"own proc":   ownProc,
	"vfork":      spawn,
}

func help(verb []string) {
	do := verbs[verb[0]]
	if do == nil {
		fmt.Fprintln(os.Stderr, "no verb", verb[0])
		os.Exit(121)
	}
	if err := do(verb[1:]); err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", verb[0], err)
		os.Exit(120)
	}
	os.Exit(0)
}
