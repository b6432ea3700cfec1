// SPDX-License-Identifier: Apache-2.0

// Package server is skepd's API: the handlers of AgentService on a unix
// socket, who may call them, the log of who did, and the metrics.
//
// A connection brings the credentials of the process at its other end, as the
// kernel took them at connect (SO_PEERCRED, SO_PEERGROUPS). For each call the
// gate turns them, or the bearer token of the call, into a caller with a role,
// and compares that with the one table of required roles; this happens before
// a byte of the request's message is read. What is let through, and what is
// not, is a line of the audit log.
//
// The data comes through the small interfaces of Deps; server imports no
// capability.
package server
