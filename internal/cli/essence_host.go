// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"strconv"
	"strings"

	skepv1 "github.com/skep-io/skep/api/skep/v1"
	"github.com/skep-io/skep/internal/event"
)

// host renders a call that changes the host, and how it ended:
// kill SIGTERM → nginx[80]; mount /dev/sdb1 → /srv ext4 MS_RDONLY.
func (e essence) host(dst []byte, h *skepv1.HostCall) []byte {
	dst = append(dst, event.Printable(h.GetCall())...)
	for _, what := range []string{
		h.GetRequest(), h.GetSignalName(), h.GetCapability(), h.GetProgramType(), strings.Join(h.GetNamespaces(), ","), h.GetRequested(),
	} {
		if what != "" {
			dst = append(append(dst, ' '), event.Printable(what)...)
		}
	}
	for _, name := range []string{h.GetName(), h.GetSource()} {
		if name != "" {
			dst = e.append(append(dst, ' '), bold, event.Printable(name))
		}
	}
	dst = e.hostTarget(dst, h)
	for _, detail := range []string{h.GetFstype(), h.GetFlags()} {
		if detail != "" {
			dst = e.append(append(dst, ' '), dim, event.Printable(detail))
		}
	}
	if h.GetIdsBefore() != h.GetIdsAfter() {
		dst = append(append(append(append(dst, ' '), event.Printable(h.GetIdsBefore())...), e.to...), event.Printable(h.GetIdsAfter())...)
	}
	if h.GetTextCut() {
		dst = append(dst, e.glyph(" …", " ...")...)
	}
	switch {
	case h.GetErrorName() != "":
		dst = e.append(append(dst, ' '), red, event.Printable(h.GetErrorName()))
	case h.GetDelivery() != "" && h.GetDelivery() != "delivered":
		dst = e.append(append(dst, ' '), yellow, "["+event.Printable(h.GetDelivery())+"]")
	}
	return dst
}

// hostTarget is what the call is done to: a process, a path, a namespace.
func (e essence) hostTarget(dst []byte, h *skepv1.HostCall) []byte {
	target := event.Printable(h.GetPath())
	switch {
	case h.GetTarget() != nil:
		target = event.Printable(h.GetTarget().GetComm()) + "[" + strconv.FormatUint(uint64(h.GetTarget().GetPid()), 10) + "]"
	case h.GetTargetPid() != 0:
		target = strconv.FormatUint(uint64(h.GetTargetPid()), 10)
	case h.GetNamespaceInode() != 0:
		target = strconv.FormatUint(uint64(h.GetNamespaceInode()), 10)
	}
	if target == "" {
		return dst
	}
	return e.append(append(dst, e.to...), bold, target)
}
