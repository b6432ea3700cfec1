// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/types/known/durationpb"

	skepv1 "github.com/skep-io/skep/api/skep/v1"
	"github.com/skep-io/skep/internal/config"
)

type upFlags struct {
	listen, dataDir, config string
}

const upLong = `Start everything and show it live: the agent, unless one answers already; the
web page, as a user of its own without any privilege; a link to the page; and
a summary on the terminal. Ctrl-C stops what was started, the page first.

Without a terminal a summary line is printed every five seconds.

Exit status: 0 when ended by Ctrl-C or SIGTERM, 1 when something could not be
started or ended by itself. Others as in "skep --help".`

const upExample = `  sudo skep up
  sudo skep up --listen 127.0.0.1:8080 --config ./skep.yaml`

func (a *app) upCmd() *cobra.Command {
	var f upFlags
	cmd := &cobra.Command{
		Use:     "up",
		Short:   "Start the agent and the web page, and show what happens",
		Long:    upLong,
		Example: upExample,
		Args:    noArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return a.up(cmd.Context(), f) },
	}
	flags := cmd.Flags()
	flags.StringVar(&f.listen, "listen", defaultListen, "loopback address and port of the page")
	flags.StringVar(&f.dataDir, "data-dir", "", "data directory of the agent (default from the configuration)")
	flags.StringVar(&f.config, "config", "", "configuration file of the agent (default "+config.DefaultPath+" if it exists)")
	_ = cmd.MarkFlagFilename("config", "yaml", "yml") // fails only for a flag that is not there
	return cmd
}

// stack is what up has started, in order; it is stopped in reverse. A child
// that ends by itself ends everything, and is the cause.
type stack struct {
	children []*child
	ended    context.CancelCauseFunc
}

func (s *stack) add(c *child) {
	s.children = append(s.children, c)
	go func() {
		<-c.done
		s.ended(childEnded(c))
	}()
}

// stop has nothing to say about a child that had ended before: that was told.
func (s *stack) stop() error {
	var errs []error
	for i := len(s.children) - 1; i >= 0; i-- {
		select {
		case <-s.children[i].done:
		default:
			errs = append(errs, s.children[i].stop(agentStop))
		}
	}
	return errors.Join(errs...)
}

func (a *app) up(ctx context.Context, f upFlags) error {
	if os.Geteuid() != 0 {
		return notRoot()
	}
	if err := a.useConfiguredSocket(f.config); err != nil {
		return err
	}
	inner, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	s := &stack{ended: cancel}
	err := a.upAll(inner, s, f)
	if ctx.Err() != nil {
		return s.stop() // the user's Ctrl-C
	}
	// The agent's death reaches us as a failed call and as a dead child, in
	// either order; the child's last words are the better explanation.
	select {
	case <-inner.Done():
		err = context.Cause(inner)
	case <-time.After(time.Second):
	}
	return errors.Join(err, s.stop())
}

func (a *app) upAll(ctx context.Context, s *stack, f upFlags) error {
	webUID, err := unusedUID(etcPasswd)
	if err != nil {
		return err
	}
	if err := a.upAgent(ctx, s, f, webUID); err != nil {
		return err
	}
	c := newClient(a.socket, a.timeout)
	defer c.close()
	if err := a.upPage(ctx, s, c, f.listen, webUID); err != nil {
		return err
	}
	return a.summarise(ctx, c)
}

func notRoot() error {
	how := "run it as root"
	if _, err := exec.LookPath("sudo"); err == nil {
		how = "run it with sudo: sudo skep up"
	}
	return fail(exitRefused, "start the agent: loading BPF programs needs root; %s", how)
}

// useConfiguredSocket: the agent listens where its configuration says, unless
// --socket says otherwise.
func (a *app) useConfiguredSocket(path string) error {
	c, err := config.Find(path, nil)
	if err != nil {
		return err
	}
	if !a.socketSet {
		a.socket = c.Socket
	}
	return nil
}

func (a *app) upAgent(ctx context.Context, s *stack, f upFlags, webUID uint32) error {
	if absent := probe(ctx, a.socket); absent == nil {
		fmt.Fprintf(a.err, "skep: using the agent that runs already at %s\n", a.socket)
		return nil
	} else if !nobody(absent) {
		return a.explainAbsent(absent)
	}
	// Ephemeral: what up started, it takes away again.
	args := []string{"--ephemeral", "--socket", a.socket, "--web-uid", strconv.FormatUint(uint64(webUID), 10)}
	if f.dataDir != "" {
		args = append(args, "--data-dir", f.dataDir)
	}
	if f.config != "" {
		args = append(args, "--config", f.config)
	}
	agent, err := startAgent(ctx, args...)
	if err != nil {
		return err
	}
	s.add(agent)
	return nil
}

// upPage starts the page's server as its own user and prints the link once it
// answers.
func (a *app) upPage(ctx context.Context, s *stack, c *client, listen string, uid uint32) error {
	page, ready, err := startPage(a.socket, listen, uid)
	if err != nil {
		return err
	}
	defer ready.Close()
	s.add(page)
	addr, err := awaitPage(ctx, page, ready)
	if err != nil {
		return err
	}
	token, err := c.CreateToken(ctx, &skepv1.CreateTokenRequest{Role: skepv1.Role_ROLE_VIEW, Ttl: durationpb.New(8 * time.Hour)})
	if err != nil {
		return fmt.Errorf("make a token for the page: %w", err)
	}
	return a.print(fmt.Sprintf("\n  skep is at %s\n\n", a.screen.paint(bold, pageURL(addr, token.GetToken()))))
}

// startPage runs "skep serve" as a user without any privilege.
func startPage(socket, listen string, uid uint32) (*child, *os.File, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, nil, fmt.Errorf("start the page: %w", err)
	}
	defer w.Close()
	page, err := startChild(childOptions{
		name: "the page (skep serve)", path: ownProgram(), extra: []*os.File{w},
		args:       []string{"serve", "--ready-fd", "3", "--listen", listen, "--socket", socket},
		credential: &syscall.Credential{Uid: uid, Gid: uid, Groups: []uint32{}},
	})
	if err != nil {
		return nil, nil, errors.Join(err, r.Close())
	}
	return page, r, nil
}

// ownProgram is this program as another user can start it: /proc/self/exe
// where it lies in a directory that is closed to others, such as root's home.
func ownProgram() string {
	const always = "/proc/self/exe"
	self, err := os.Executable()
	if err != nil {
		return always
	}
	for path := self; path != "/"; path = filepath.Dir(path) {
		if info, err := os.Stat(path); err != nil || info.Mode()&0o001 == 0 {
			return always
		}
	}
	return self
}

// awaitPage returns the address once our page's server, and not somebody
// else's, listens and speaks HTTP there: the link has a token in it.
func awaitPage(ctx context.Context, page *child, ready *os.File) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, agentStart)
	defer cancel()
	said := make(chan string, 1)
	go func() {
		line, _ := bufio.NewReader(ready).ReadString('\n') // empty if it ended, which page.done tells
		said <- strings.TrimSpace(line)
	}()
	select {
	case addr := <-said:
		if addr != "" && speaksHTTP(ctx, addr) {
			return addr, nil
		}
	case <-page.done:
	case <-ctx.Done():
	}
	select {
	case <-page.done:
		return "", childEnded(page)
	case <-ctx.Done():
	case <-time.After(agentStop):
	}
	return "", fmt.Errorf("start the page: it does not answer%s", page.log.quote())
}

func speaksHTTP(ctx context.Context, listen string) bool {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+listen+"/", nil)
	if err != nil {
		return false
	}
	transport := &http.Transport{DisableKeepAlives: true, DialContext: (&net.Dialer{Timeout: time.Second}).DialContext}
	client := http.Client{Transport: transport, Timeout: 2 * time.Second}
	resp, err := client.Do(req)
	if err != nil {
		return false
	}
	resp.Body.Close()
	return true
}

// childEnded is the error of a child that ended by itself, however well.
func childEnded(c *child) error {
	if c.err == nil {
		return fmt.Errorf("%s ended by itself%s", c.name, c.log.quote())
	}
	return fmt.Errorf("%s ended: %w%s", c.name, c.err, c.log.quote())
}

const etcPasswd = "/etc/passwd"

// The range that systemd documents as free for dynamic users is 61184 to
// 65519 (systemd, UIDS-GIDS).
const (
	firstWebUID = 61184
	lastWebUID  = 65519
)

// unusedUID picks a user id that no account and no process has.
func unusedUID(passwd string) (uint32, error) {
	f, err := os.Open(passwd)
	if err != nil {
		return 0, fmt.Errorf("choose a user for the page: %w", err)
	}
	defer f.Close()
	taken := map[string]bool{}
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if fields := strings.Split(lines.Text(), ":"); len(fields) > 3 {
			taken[fields[2]], taken[fields[3]] = true, true
		}
	}
	addRunning(taken)
	for uid := uint32(firstWebUID); uid <= lastWebUID; uid++ {
		if !taken[strconv.FormatUint(uint64(uid), 10)] {
			return uid, nil
		}
	}
	return 0, fmt.Errorf("choose a user for the page: all of %d to %d are taken in %s", firstWebUID, lastWebUID, passwd)
}

// addRunning marks the users of running processes: systemd's dynamic users
// are in no file.
func addRunning(taken map[string]bool) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return
	}
	for _, e := range entries {
		info, err := e.Info()
		if err != nil {
			continue
		}
		if st, ok := info.Sys().(*syscall.Stat_t); ok {
			taken[strconv.FormatUint(uint64(st.Uid), 10)] = true
		}
	}
}
