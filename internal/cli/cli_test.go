// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"google.golang.org/protobuf/proto"

	"github.com/skep-io/skep/internal/config"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"skep":  func() { os.Exit(Main("v0.0.0-test", os.Args)) },
		"skepd": func() { os.Exit(fakeSkepd(os.Args[1:])) },
	})
}

// fakeSkepd has the command line that skep expects of skepd.
// FAKE_SKEPD=refuse makes it refuse to run, =second to run beside another, =crash makes it die, =dies makes it die once
// there is a file $FAKE_SKEPD_LOG.die.
func fakeSkepd(args []string) int {
	how := os.Getenv("FAKE_SKEPD")
	if args[0] == "doctor" {
		data, _ := proto.Marshal(sampleDoctor(how == ""))
		os.Stdout.Write(data)
		return 0
	}
	if args[0] == "check" {
		if _, err := config.Load(args[2], nil); err != nil {
			fmt.Fprintln(os.Stderr, "skepd:", err)
			return 1
		}
		return 0
	}
	flags := map[string]string{}
	for i := 1; i < len(args); i++ {
		if args[i] != "--private" && args[i] != "--no-ship" && args[i] != "--ephemeral" {
			flags[args[i]] = args[i+1]
			i++
		}
	}
	fd, _ := strconv.Atoi(flags["--ready-fd"])
	ready := os.NewFile(uintptr(fd), "ready")
	switch how {
	case "refuse":
		fmt.Fprint(ready, "load programs: this kernel has no BTF; boot one with CONFIG_DEBUG_INFO_BTF=y")
		return 1
	case "second":
		fmt.Fprint(ready, "start agent: another skep agent is running on this host; use it, or stop it first")
		return 1
	case "crash":
		fmt.Fprintln(os.Stderr, "panic: \x1b[31mall is lost")
		return 2
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	stopServing, err := serveFake(flags["--socket"], &fakeAgent{})
	if err != nil {
		fmt.Fprint(ready, err)
		return 1
	}
	ready.Write([]byte{'\n'})
	if how == "dies" {
		for ctx.Err() == nil {
			if _, err := os.Stat(os.Getenv("FAKE_SKEPD_LOG") + ".die"); err == nil {
				break
			}
			time.Sleep(5 * time.Millisecond)
		}
		fmt.Fprintln(os.Stderr, "out of luck")
		return 7
	}
	<-ctx.Done()
	stopServing()
	if path := os.Getenv("FAKE_SKEPD_LOG"); path != "" {
		os.WriteFile(path, []byte("stopped "+strings.Join(args, " ")+"\n"), 0o600)
	}
	return 0
}

func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:             "testdata/script",
		UpdateScripts:   os.Getenv("UPDATE_SCRIPTS") != "",
		ContinueOnError: true,
		Setup:           setupScript,
		Condition:       condition,
	})
}

// setupScript gives each script an agent at $SKEP_SOCKET.
func setupScript(env *testscript.Env) error {
	socket := filepath.Join(env.WorkDir, "skep.sock")
	requests, err := os.Create(filepath.Join(env.WorkDir, "requests"))
	if err != nil {
		return err
	}
	stop, err := serveFake(socket, &fakeAgent{requests: requests})
	if err != nil {
		return err
	}
	env.Defer(func() { stop(); requests.Close() })
	env.Setenv(socketEnv, socket)
	env.Setenv("TZ", "UTC")
	env.Setenv("LANG", "C.UTF-8")
	return nil
}

func condition(name string) (bool, error) {
	switch name {
	case "root":
		return os.Geteuid() == 0, nil
	case "configured":
		return exists(config.DefaultPath), nil
	case "agent":
		return probe(context.Background(), config.Default().Socket) == nil, nil
	}
	return false, fmt.Errorf("unknown condition %q", name)
}
