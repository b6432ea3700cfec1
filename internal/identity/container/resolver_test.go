// SPDX-License-Identifier: Apache-2.0

package container

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

// startResolver runs a Resolver whose answers come through the channel.
func startResolver(t *testing.T, sockets ...Socket) (*Resolver, <-chan Meta) {
	t.Helper()
	answers := make(chan Meta, 16)
	r := NewResolver(ResolverOptions{Sockets: sockets, OnResolved: func(_ ID, m Meta) { answers <- m }})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { _ = r.Run(ctx); close(done) }()
	t.Cleanup(func() { cancel(); <-done })
	return r, answers
}

func TestResolveContainerd(t *testing.T) {
	f := newFake(t)
	f.unary("/containerd.services.containers.v1.Containers/Get", func(request message, h http.Header) (message, error) {
		id, _ := request.field(1)
		if h.Get("containerd-namespace") != "moby" {
			return nil, grpcNotFound()
		}
		return containerdAnswer(string(id), "img:1"), nil
	})
	r, answers := startResolver(t, Socket{KindContainerd, f.socket})
	id := ID{Runtime: Containerd, ID: "web"}
	if _, state := r.Get(id); state != Pending {
		t.Errorf("first Get: state %d", state)
	}
	if m := waitFor(t, "containerd", answers); m.Name != "web" || m.Image != "img:1" || m.Runtime != Containerd {
		t.Errorf("%+v", m)
	}
	if m, state := r.Get(id); state != Resolved || m.Name != "web" {
		t.Errorf("second Get: %+v, state %d", m, state)
	}
	if n := f.calls.Load(); n != 3 {
		t.Errorf("%d calls, want one per namespace", n)
	}
}

func TestResolveCRI(t *testing.T) {
	f := newFake(t)
	f.unary("/runtime.v1.RuntimeService/ListContainers", func(request message, _ http.Header) (message, error) {
		if id, _ := request.path(1, 1); string(id) == hexA {
			return criAnswer(hexA, hexB), nil
		}
		return nil, nil
	})
	f.unary("/runtime.v1.RuntimeService/PodSandboxStatus", func(request message, _ http.Header) (message, error) {
		if id, _ := request.field(1); string(id) != hexB {
			return nil, grpcNotFound()
		}
		return sandboxAnswer(), nil
	})
	r, answers := startResolver(t, Socket{KindCRI, f.socket})
	r.Get(ID{Runtime: CRIO, ID: hexA})
	if m := waitFor(t, "container", answers); m.Name != "web" || m.PodName != "web-0" || m.Namespace != "prod" || m.PodLabels["app"] != "shop" {
		t.Errorf("container: %+v", m)
	}
	r.Get(ID{Runtime: CRIO, ID: hexB})
	if m := waitFor(t, "sandbox", answers); m.Name != sandboxName || m.PodName != "web-0" {
		t.Errorf("sandbox: %+v", m)
	}
}

// TestResolveLate: the runtime knows the container only at the third question.
func TestResolveLate(t *testing.T) {
	f := newFake(t)
	f.mux.HandleFunc("/containers/", func(w http.ResponseWriter, _ *http.Request) {
		if f.calls.Add(1) < 3 {
			http.Error(w, `{"message":"No such container"}`, http.StatusNotFound)
			return
		}
		fmt.Fprintf(w, `{"Id":%q,"Name":"/web","Config":{"Image":"img:1","Labels":{"io.kubernetes.pod.name":"p"}}}`, hexA)
	})
	r, answers := startResolver(t, Socket{KindDocker, f.socket})
	r.Get(ID{Runtime: Docker, ID: hexA})
	if m := waitFor(t, "docker", answers); m.Name != "web" || m.PodName != "p" || f.calls.Load() != 3 {
		t.Errorf("%+v after %d calls", m, f.calls.Load())
	}
}

// TestResolveHostile: what a socket sends is bounded, and no error is fatal.
func TestResolveHostile(t *testing.T) {
	f := newFake(t)
	var once sync.Once
	taken := make(chan int, 1) // bytes of the first endless answer, until nobody read on
	f.mux.HandleFunc("/containers/"+hexA+"/json", func(w http.ResponseWriter, _ *http.Request) {
		n := 0
		for n < 64<<20 {
			wrote, err := w.Write(bytes.Repeat([]byte(" "), 64<<10))
			n += wrote
			if err != nil {
				break
			}
		}
		once.Do(func() { taken <- n })
	})
	f.mux.HandleFunc("/containers/"+hexB+"/json", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, `{"Id":%q,"Name":"/%s","Config":{"Labels":{"bad":"%s"}}}`, hexB, strings.Repeat("n", 2*maxText), "\xff")
	})
	r, answers := startResolver(t, Socket{KindDocker, f.socket})
	r.Get(ID{Runtime: Docker, ID: hexA})
	r.Get(ID{Runtime: Docker, ID: hexB})
	if m := waitFor(t, "the good one", answers); len(m.Name) != maxText || m.Labels["bad"] != "\uFFFD" {
		t.Errorf("name of %d bytes, labels %q", len(m.Name), m.Labels)
	}
	select {
	case n := <-taken:
		if n < maxResponse || n > 2*maxResponse {
			t.Errorf("of an endless answer %d bytes were taken, want about %d", n, maxResponse)
		}
	case <-time.After(10 * time.Second):
		t.Error("the endless answer did not end within 10 s")
	}
	if s := r.Stats(); s.Resolved != 1 {
		t.Errorf("%+v", s)
	}
}

func TestResolverBounds(t *testing.T) {
	r := NewResolver(ResolverOptions{}) // does not run: nothing leaves the queue
	for i := range maxQueue + 5 {
		_, state := r.Get(ID{Runtime: Docker, ID: fmt.Sprint(i)})
		if want := i < maxQueue; (state == Pending) != want {
			t.Fatalf("Get %d: state %d", i, state)
		}
	}
	if s := r.Stats(); s.Overflow != 5 || s.Entries != maxQueue {
		t.Errorf("%+v", s)
	}
}

// waitMissing waits until a container was given up.
func waitMissing(t *testing.T, r *Resolver) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); r.Stats().Missing == 0; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("nothing is missing within 30 s: %+v", r.Stats())
		}
	}
}

// TestResolveNobody: without any socket the answer is Missing, at once and cached.
func TestResolveNobody(t *testing.T) {
	r, _ := startResolver(t, Socket{KindDocker, "/nonexistent/skep.sock"})
	id := ID{Runtime: Docker, ID: hexA}
	r.Get(id)
	waitMissing(t, r)
	for range 100 {
		if _, state := r.Get(id); state != Missing {
			t.Fatalf("state %d", state)
		}
	}
	if s := r.Stats(); s.Missing != 1 || s.Failed != 0 {
		t.Errorf("%+v", s)
	}
}

// TestResolveByNameStaysHome: a name is only asked of the runtime that gave it.
func TestResolveByNameStaysHome(t *testing.T) {
	f := newFake(t)
	f.mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		f.calls.Add(1)
		fmt.Fprint(w, `{"Id":"web","Name":"/other"}`)
	})
	r, _ := startResolver(t, Socket{KindDocker, f.socket})
	r.Get(ID{Runtime: LXC, ID: "web"})
	waitMissing(t, r)
	if n := f.calls.Load(); n != 0 {
		t.Errorf("docker was asked %d times for an LXC container", n)
	}
}
