// SPDX-License-Identifier: Apache-2.0

package server

import "github.com/skep-io/skep/internal/durable"

// The audit log takes at most (auditKeep+1) * auditBytes on the disk.
const (
	auditBytes = 16 << 20
	auditKeep  = 4
)

// OpenAudit opens the audit log at path for Deps.Audit. Only its owner can read it.
func OpenAudit(path string) (*durable.Append, error) {
	a := &durable.Append{Path: path, MaxBytes: auditBytes, Keep: auditKeep}
	return a, a.Open()
}
