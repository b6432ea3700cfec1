// SPDX-License-Identifier: Apache-2.0

package vm

import (
	"fmt"
	"os"
	"strings"
)

const (
	// lsmWithBPF is the boot order in which LSM programs can deny.
	lsmWithBPF = "landlock,lockdown,yama,bpf"
	// lsmWithoutBPF lets LSM programs load and attach, and deny nothing.
	lsmWithoutBPF = "landlock,lockdown,yama"
)

// Kernel is one entry of the matrix.
type Kernel struct {
	// Name is what SKEP_KERNEL holds in the guest, and the name of the subtest.
	Name string
	// Suite is the Debian suite that carries the packages.
	Suite string
	// Packages are globs; of each the newest match is taken. The image and its modules may come in different packages.
	Packages []string
	// LSM is the value of lsm= on the kernel command line.
	LSM string
	// Lockdown is the value of lockdown= on the kernel command line, "" for none.
	Lockdown string
	// CX16 shows the instruction cmpxchg16b to the kernel. QEMU 7.2 emulates it wrongly, on which 6.12 panics. 7.2 needs
	// it: without it kmalloc_nolock() fails, and with it every bpf_*_storage_get() that should create a storage.
	CX16 bool
}

// Kernels lists the matrix, oldest first.
//
// The stable suites keep their kernel series for their whole life. Forky still moves, so its glob accepts the next
// series too, and Name says which one was current when the entry was written.
func Kernels() []Kernel {
	return []Kernel{
		{Name: "5.10", Suite: "bullseye", Packages: []string{"linux-image-5.10.*-cloud-amd64"}, LSM: lsmWithBPF},
		{Name: "6.1", Suite: "bookworm", Packages: []string{"linux-image-6.1.*-cloud-amd64"}, LSM: lsmWithBPF},
		{Name: "6.1-lockdown", Suite: "bookworm", Packages: []string{"linux-image-6.1.*-cloud-amd64"}, LSM: lsmWithBPF, Lockdown: "confidentiality"},
		{Name: "6.12", Suite: "trixie", Packages: []string{"linux-image-6.12.*-cloud-amd64"}, LSM: lsmWithBPF},
		{Name: "6.12-nobpf", Suite: "trixie", Packages: []string{"linux-image-6.12.*-cloud-amd64"}, LSM: lsmWithoutBPF},
		{Name: "6.12-lockdown", Suite: "trixie", Packages: []string{"linux-image-6.12.*-cloud-amd64"}, LSM: lsmWithBPF, Lockdown: "confidentiality"},
		{
			Name: "7.2", Suite: "forky",
			Packages: []string{"linux-binary-[0-9]*-cloud-amd64", "linux-modules-[0-9]*-cloud-amd64"},
			LSM:      lsmWithBPF, CX16: true,
		},
	}
}

// Lookup finds a kernel of the matrix by name.
func Lookup(name string) (Kernel, error) {
	var names []string
	for _, k := range Kernels() {
		if k.Name == name {
			return k, nil
		}
		names = append(names, k.Name)
	}
	return Kernel{}, fmt.Errorf("look up kernel %q: not in the matrix, which has %s", name, strings.Join(names, ", "))
}

// wantedModules are loaded in every guest, with what they depend on, and those that SKEP_VM_MODULES names. Those built
// into a kernel are skipped there.
func wantedModules() []string {
	return append([]string{
		"af_packet", "ipv6", "veth", "dummy", "bridge", "overlay",
		"inet_diag", "tcp_diag", "udp_diag", "unix_diag", "sch_ingress", "cls_bpf",
	}, strings.Fields(os.Getenv("SKEP_VM_MODULES"))...)
}
