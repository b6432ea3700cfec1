// SPDX-License-Identifier: Apache-2.0

package kern

import (
	"errors"
	"strings"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
	"golang.org/x/sys/unix"
)

// verdict is the line of a verifier log that says what is wrong: the last one before
// the statistics; "" where it was not the verifier that refused.
func verdict(log []string) string {
	for i := len(log) - 1; i >= 0; i-- {
		line := log[i]
		if !strings.HasPrefix(line, "processed ") && !strings.HasPrefix(line, "verification time") &&
			!strings.HasPrefix(line, "stack depth") && line != "" {
			return line
		}
	}
	return ""
}

// forbidden tells of a refusal that is not the verifier's: the host forbids this kind of
// program, whatever is in it.
func forbidden(err error) bool {
	var verifier *ebpf.VerifierError
	return errors.Is(err, unix.EPERM) && (!errors.As(err, &verifier) || verdict(verifier.Log) == "")
}

// reason makes one line of an error for `skep doctor`.
func reason(err error) string {
	var verifier *ebpf.VerifierError
	switch {
	case errors.As(err, &verifier) && verdict(verifier.Log) != "":
		return "the verifier refuses it: " + verdict(verifier.Log)
	case forbidden(err):
		return "the kernel refuses it with EPERM and no verifier log: the host forbids this kind of program (fentry and LSM patch the kernel's text, some " +
			"iterators can write to maps), or a capability is missing"
	case errors.Is(err, btf.ErrNotFound):
		return "this kernel has no such hook or field: " + err.Error()
	}
	return err.Error()
}
