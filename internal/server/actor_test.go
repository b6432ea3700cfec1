// SPDX-License-Identifier: Apache-2.0

package server

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	skepv1 "github.com/skep-io/skep/api/skep/v1"
	"github.com/skep-io/skep/internal/event"
)

// This test binary, started as another user with callAs set, plays a part at the agent's
// socket and prints what came of it.
const (
	callAs   = "SKEP_SERVER_TEST_CALL" // the socket
	callPart = "SKEP_SERVER_TEST_PART"
)

var parts = map[string]func(socket string){
	"identity": playIdentity,
	"flood":    playFlood,
	"token":    playToken,
	"garbage":  playGarbage,
	"follow":   playFollow,
	"trace":    playTrace,
}

// as runs a part as another user and returns what it prints.
func (a *agent) as(t *testing.T, who syscall.Credential, part string) string {
	t.Helper()
	cmd := a.actor(t, who, part)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v: %s", part, err, out)
	}
	return string(out)
}

func (a *agent) actor(t *testing.T, who syscall.Credential, part string, env ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(shareBinary(t, filepath.Dir(a.socket)))
	cmd.Env = append(env, callAs+"="+a.socket, callPart+"="+part)
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &who}
	return cmd
}

// shareBinary copies this test binary to where other users can run it.
func shareBinary(t *testing.T, dir string) string {
	t.Helper()
	path := filepath.Join(dir, "caller")
	if _, err := os.Stat(path); err == nil {
		return path
	}
	from, err := os.Open("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	defer from.Close()
	to, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY, 0o755)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(to, from); err != nil {
		t.Fatal(err)
	}
	if err := to.Close(); err != nil {
		t.Fatal(err)
	}
	return path
}

func playIdentity(socket string) {
	res, err := client(socket).GetIdentity(context.Background(), &skepv1.GetIdentityRequest{})
	fmt.Printf("%s %s %v\n", roleName(res.GetRole()), event.AppendJSON(nil, res), err)
}

// floodCalls is more than the log has room for in a burst.
const floodCalls = 2000

func playFlood(socket string) {
	c := client(socket)
	for range floodCalls {
		c.GetStatus(context.Background(), &skepv1.GetStatusRequest{})
	}
}

func playToken(socket string) {
	if _, err := client(socket).CreateToken(context.Background(), &skepv1.CreateTokenRequest{}); err != nil {
		panic(err)
	}
}

// garbage are requests that never become a message, with the code that each is answered with.
var garbage = []struct{ name, method, path, contentType, header, body, code string }{
	{"not protobuf", "POST", "GetStatus", "application/proto", "", "\xff\xff\xff", "invalid_argument"},
	{"not JSON", "POST", "GetProcess", "application/json", "", `{"pid":`, "invalid_argument"},
	{"too long", "POST", "ListProcesses", "application/proto", "", strings.Repeat("x", maxRequestBytes+1), "resource_exhausted"},
	{"not protobuf, gRPC", "POST", "GetStatus", "application/grpc", "", "\x00\x00\x00\x00\x03\xff\xff\xff", "invalid_argument"},
	{"cut off, gRPC", "POST", "GetStatus", "application/grpc+proto", "", "\x00\x00\x00\x00\x09\xff", "internal"},
	{"not protobuf, gRPC-Web", "POST", "GetStatus", "application/grpc-web", "", "\x00\x00\x00\x00\x03\xff\xff\xff", "invalid_argument"},
	{"not protobuf, a stream", "POST", "Observe", "application/connect+proto", "", "\x00\x00\x00\x00\x03\xff\xff\xff", "invalid_argument"},
	{"unknown compression", "POST", "GetStatus", "application/proto", "Content-Encoding: zip", "", "unimplemented"},
	{"unknown compression, a stream", "POST", "Observe", "application/connect+proto", "Connect-Content-Encoding: zip", "", "unimplemented"},
	{"unknown compression, gRPC", "POST", "Observe", "application/grpc", "Grpc-Encoding: zip", "", "unimplemented"},
	{"bad timeout", "POST", "GetStatus", "application/proto", "Connect-Timeout-Ms: soon", "", "invalid_argument"},
	{"no such call", "POST", "Reboot\x1b[31m", "application/proto", "", "", "unimplemented"},
	{"not a content type", "POST", "GetStatus", "text/plain", "", "", "unimplemented"},
	{"not a method", "DELETE", "GetStatus", "application/proto", "", "", "unimplemented"},
}

func playGarbage(socket string) {
	c := httpClient(socket, false)
	for _, g := range garbage {
		req, err := http.NewRequest(g.method, "http://skep/", bytes.NewReader([]byte(g.body)))
		if err != nil {
			panic(err)
		}
		req.URL.Path = "/skep.v1.AgentService/" + g.path
		req.Header.Set("Content-Type", g.contentType)
		if name, value, ok := strings.Cut(g.header, ": "); ok {
			req.Header.Set(name, value)
		}
		res, err := c.Do(req)
		if err != nil {
			fmt.Println(g.name, err)
			continue
		}
		io.Copy(io.Discard, res.Body)
		res.Body.Close()
	}
}
