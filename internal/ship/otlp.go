// SPDX-License-Identifier: Apache-2.0

package ship

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	dto "github.com/prometheus/client_model/go"
	collector "go.opentelemetry.io/proto/slim/otlp/collector/logs/v1"
	metricscollector "go.opentelemetry.io/proto/slim/otlp/collector/metrics/v1"
	"google.golang.org/protobuf/proto"

	skepv1 "github.com/skep-io/skep/api/skep/v1"
	"github.com/skep-io/skep/internal/event"
	"github.com/skep-io/skep/internal/event/filters"
)

// OTLPOptions describe a receiver of OTLP over HTTP with binary protobuf
// (https://opentelemetry.io/docs/specs/otlp/#otlphttp).
type OTLPOptions struct {
	// Endpoint is the base URL, such as http://collector:4318; /v1/logs and /v1/metrics are below it.
	Endpoint string
	// Headers are sent with each request; their values may be secrets.
	Headers map[string]string
	// Metrics is the time between two pushes; 0: none.
	Metrics time.Duration
	// Gather collects the metrics.
	Gather  func() ([]*dto.MetricFamily, error)
	Started time.Time // when the counters began
}

// NewOTLP makes a spec that posts records as logs. It does no I/O.
func NewOTLP(o OTLPOptions, node Node, filter *filters.Filter) (*Spec, error) {
	target, err := url.Parse(o.Endpoint)
	if err != nil {
		return nil, fmt.Errorf("endpoint: %w", err)
	}
	c := &otlp{options: o, node: node, base: strings.TrimSuffix(o.Endpoint, "/"), maxBody: maxBody}
	c.client = &http.Client{Timeout: sendTimeout, Transport: &http.Transport{Proxy: http.ProxyFromEnvironment, IdleConnTimeout: time.Minute},
		// Of a POST it may make a GET, whose answer (a login page) is no delivery, and it takes the headers along.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	spec := &Spec{Type: "otlp", Target: target.Redacted(), Filter: filter, Linger: time.Second, receiver: c}
	if o.Metrics > 0 {
		spec.pushMetrics, spec.interval = c.pushMetrics, o.Metrics
	}
	return spec, nil
}

type otlp struct {
	options OTLPOptions
	node    Node
	base    string
	client  *http.Client
	maxBody int // bytes; less than at first if the receiver takes less
	faults  int // of the receiver, in a row, with the records that come next
}

const (
	// maxAnswer bounds what is read of a receiver's answer.
	maxAnswer = 64 << 10
	// maxBody bounds a request with more than one record, in bytes. Collectors take 20 MiB by
	// default, proxies before them often 1 MiB, which they then say.
	maxBody = 4 << 20
	// maxFaults is how often in a row a receiver may fail with the same records before they
	// are refused: it may be they that it fails by, and what is behind them would never come.
	// By the pauses between attempts that is after 13 s at least.
	maxFaults = 8
)

func (c *otlp) send(ctx context.Context, records []*skepv1.Record, refused refuse) (int, error) {
	logs, n := logsOf(c.node, records, c.maxBody)
	records = records[:n]
	body, err := proto.Marshal(&collector.ExportLogsServiceRequest{ResourceLogs: logs})
	if err != nil {
		return 0, fmt.Errorf("encode logs: %w", err)
	}
	answer, err := c.post(ctx, "/v1/logs", body)
	var never *rejection
	var fault *fault
	switch {
	case errors.As(err, &never):
		if never.status == http.StatusRequestEntityTooLarge && len(records) > 1 {
			c.maxBody = len(body) / 2
			return 0, nil // again, and less of it
		}
	case errors.As(err, &fault):
		if c.faults++; c.faults < maxFaults {
			return 0, err
		}
	case err != nil:
		return 0, err
	}
	c.faults = 0
	if err != nil {
		for _, r := range records {
			refused(r.GetKind(), 1, err)
		}
		return len(records), nil
	}
	var response collector.ExportLogsServiceResponse
	if proto.Unmarshal(answer, &response) == nil {
		if n := response.GetPartialSuccess().GetRejectedLogRecords(); n > 0 {
			refused("", min(uint64(n), uint64(len(records))), fmt.Errorf("the receiver rejects records: %s", event.Printable(response.GetPartialSuccess().GetErrorMessage())))
		}
	}
	return len(records), nil
}

func (c *otlp) pushMetrics(ctx context.Context) error {
	families, err := c.options.Gather()
	if err != nil {
		return fmt.Errorf("gather metrics: %w", err)
	}
	body, err := proto.Marshal(&metricscollector.ExportMetricsServiceRequest{ResourceMetrics: metricsOf(c.node, families, c.options.Started, time.Now())})
	if err != nil {
		return fmt.Errorf("encode metrics: %w", err)
	}
	_, err = c.post(ctx, "/v1/metrics", body)
	return err
}

// rejection is an answer that another attempt would not change.
type rejection struct{ status int }

func (r *rejection) Error() string { return fmt.Sprintf("the receiver answers %d", r.status) }

// fault is a receiver's own, which the specification does not let pass. Receivers mean
// both by it: that something of theirs is broken for now, and that a record breaks them.
type fault struct{ status int }

func (f *fault) Error() string { return fmt.Sprintf("the receiver answers %d", f.status) }

// busy is an answer that says when to try again.
type busy struct {
	error
	after time.Duration
}

// later is how long to wait after a failure: as the receiver says, but not for ever.
func later(err error, pause time.Duration) time.Duration {
	var b *busy
	if errors.As(err, &b) && b.after > 0 {
		return min(b.after, 5*time.Minute)
	}
	return pause
}

// post returns the answer's body. Which failures may pass is in the specification of OTLP
// ("Retryable Response Codes").
func (c *otlp) post(ctx context.Context, path string, body []byte) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, c.base+path, bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("post: %w", err)
	}
	for name, value := range c.options.Headers {
		request.Header.Set(name, value)
	}
	request.Header.Set("Content-Type", "application/x-protobuf")
	response, err := c.client.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	switch status := response.StatusCode; {
	case status/100 == 2:
		return answer, err
	case status == http.StatusTooManyRequests, status == http.StatusBadGateway, status == http.StatusServiceUnavailable, status == http.StatusGatewayTimeout, status == http.StatusRequestTimeout:
		seconds, _ := strconv.Atoi(response.Header.Get("Retry-After"))
		return nil, &busy{fmt.Errorf("the receiver answers %d", status), time.Duration(max(0, min(seconds, 3600))) * time.Second}
	case status/100 == 3:
		return nil, fmt.Errorf("the receiver answers %d, a redirect, which is not followed; set endpoint to where records are taken", status)
	case status == http.StatusUnauthorized, status == http.StatusForbidden, status == http.StatusNotFound:
		// Somebody has to mend the settings; until then the records are kept.
		return nil, fmt.Errorf("the receiver answers %d; check endpoint and headers", status)
	case status/100 == 5:
		return nil, &fault{status}
	default:
		return nil, &rejection{status}
	}
}

func (c *otlp) close() { c.client.CloseIdleConnections() }
