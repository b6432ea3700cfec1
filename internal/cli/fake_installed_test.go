// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"errors"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/types/known/timestamppb"

	skepv1 "github.com/skep-io/skep/api/skep/v1"
)

func sampleTraces() []*skepv1.TraceStatus {
	return []*skepv1.TraceStatus{
		{Name: "broken", State: "failed", Reason: "line 1: there is no probe \x1b[31mx", LogBytes: 100},
		{Name: "opens", State: "running", Since: timestamppb.New(time.Now().Add(-90 * time.Second)), Probes: 2, Events: 1234, Lost: 5, LogBytes: 1 << 20},
	}
}

func installedTrace(s *skepv1.TraceStatus) *skepv1.InstalledTrace {
	return &skepv1.InstalledTrace{Status: s, Installed: timestamppb.New(sampleTime), Trace: &skepv1.TraceRequest{Script: "begin { }"}}
}

// InstallTrace refuses the script "wrong", and the name "taken".
func (f *fakeAgent) InstallTrace(_ context.Context, req *skepv1.InstallTraceRequest) (*skepv1.InstallTraceResponse, error) {
	f.note("InstallTrace", req)
	if req.GetName() == "taken" {
		return nil, connect.NewError(connect.CodeAlreadyExists, errors.New("there is an installed script of that name: remove it first"))
	}
	res := &skepv1.InstallTraceResponse{}
	if req.GetTrace().GetScript() == "wrong" {
		for _, e := range wrongScript("") {
			res.Diagnostics = append(res.Diagnostics, e.GetDiagnostic())
		}
		return res, nil
	}
	res.Installed = installedTrace(&skepv1.TraceStatus{Name: req.GetName(), State: "running", Probes: 1})
	return res, nil
}

func (f *fakeAgent) ListTraces(_ context.Context, req *skepv1.ListTracesRequest) (*skepv1.ListTracesResponse, error) {
	f.note("ListTraces", req)
	res := &skepv1.ListTracesResponse{}
	for _, s := range sampleTraces() {
		res.Traces = append(res.Traces, installedTrace(s))
	}
	return res, nil
}

func (f *fakeAgent) TraceLogs(_ context.Context, req *skepv1.TraceLogsRequest, s *connect.ServerStream[skepv1.TraceLogsResponse]) error {
	f.note("TraceLogs", req)
	for i, e := range sampleTrace() {
		m := &skepv1.TraceLogsResponse{Entries: []*skepv1.TraceLogEntry{{Time: timestamppb.New(sampleTime), Event: e}}}
		if i == 0 {
			m.Lost = 7
		}
		if err := s.Send(m); err != nil {
			return err
		}
	}
	return nil
}

func (f *fakeAgent) RemoveTrace(_ context.Context, req *skepv1.RemoveTraceRequest) (*skepv1.RemoveTraceResponse, error) {
	f.note("RemoveTrace", req)
	if req.GetName() == "none" {
		return nil, connect.NewError(connect.CodeNotFound, errors.New("no script of that name is installed"))
	}
	return &skepv1.RemoveTraceResponse{}, nil
}
