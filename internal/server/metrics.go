// SPDX-License-Identifier: Apache-2.0

package server

import (
	"context"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// MetricsHandler serves the numbers of the status in the formats of Prometheus.
func (s *Server) MetricsHandler() http.Handler {
	return promhttp.HandlerFor(s.Gatherer(), promhttp.HandlerOpts{
		MaxRequestsInFlight: 4, Timeout: 10 * time.Second,
	})
}

// Gatherer collects the numbers of the status as metrics.
func (s *Server) Gatherer() prometheus.Gatherer {
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(&collector{server: s})
	if s.deps.TraceMaps != nil {
		registry.MustRegister(traceCollector{s.deps.TraceMaps})
	}
	return registry
}

// ServeMetrics answers GET /metrics until ctx is done, and closes the listener. There
// is no default address: whoever reaches the port reads the numbers, whatever
// the role, which an administrator has to want. 127.0.0.1:7538 is the port to use.
func (s *Server) ServeMetrics(ctx context.Context, l net.Listener) error {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", s.MetricsHandler())
	server := &http.Server{
		Handler: mux, ReadTimeout: readRequestTimeout, WriteTimeout: time.Minute,
		IdleTimeout: idleTimeout, MaxHeaderBytes: maxHeaderBytes,
	}
	return serveUntil(ctx, server, func() {}, l)
}

// callCounts counts the calls by method and result.
type callCounts struct {
	mu     sync.Mutex
	counts map[callResult]uint64
}

type callResult struct{ method, code string }

func newCallCounts() *callCounts { return &callCounts{counts: map[callResult]uint64{}} }

func (c *callCounts) add(method string, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.counts[callResult{method, codeOf(err)}]++
}
