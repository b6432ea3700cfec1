// SPDX-License-Identifier: Apache-2.0

package tools

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"sync"
	"testing"

	"github.com/skep-io/skep/test/e2e/skepdtest"
)

// trialEnv names the trial whose generator this process is, and doEnv what else it is.
const (
	trialEnv = "SKEP_TOOL_TRIAL"
	doEnv    = "SKEP_TOOL_DO"
)

func TestMain(m *testing.M) {
	if name := os.Getenv(trialEnv); name != "" {
		os.Exit(generate(name))
	}
	if name := os.Getenv(doEnv); name != "" {
		os.Exit(helpers[name]())
	}
	os.Exit(skepdtest.Main(m))
}

// generator is what a trial's events come from; what it knows of them goes to the test.
type generator struct {
	Numbers map[string]int64
	Texts   map[string][]string
	Dir     string // an empty directory

	lock sync.Mutex
}

// check ends the generator if what it needs does not work.
func (g *generator) check(err error) {
	if err != nil {
		panic(err)
	}
}

// generate waits for a line, does what the trial says, and tells of it in a line.
func generate(name string) int {
	in := bufio.NewReader(os.Stdin)
	t := trialNamed(name)
	g := &generator{Numbers: map[string]int64{}, Texts: map[string][]string{}, Dir: os.Getenv("SKEP_TOOL_DIR")}
	if t.prepare != nil {
		t.prepare(g)
	}
	fmt.Println("ready")
	if _, err := in.ReadString('\n'); err != nil {
		return 1
	}
	t.generate(g)
	line, err := json.Marshal(g)
	if err != nil {
		panic(err)
	}
	fmt.Println(string(line))
	in.ReadString('\n') // stay until the tool has ended
	return 0
}

func trialNamed(name string) *trial {
	for i := range trials {
		if trials[i].name == name {
			return &trials[i]
		}
	}
	panic("there is no trial " + name)
}
