// SPDX-License-Identifier: Apache-2.0

// Package containers starts real containers for end-to-end tests: a private
// containerd (own directories and socket, not the system's), plain runc, and
// podman where it is installed, all with one image made here from one static
// program (see probe). Everything is gone when the test ends.
//
// It needs root and Debian's containerd and runc; for the podman tests podman
// and crun too.
package containers
