// SPDX-License-Identifier: Apache-2.0

package vm

import "strings"

// suite is one package whose tests run in the matrix. Add an entry to run more; see README.md.
type suite struct {
	// pkg is the package's path from the repository's root.
	pkg string
	// part tells suites of one package apart that run on the same kernel.
	part string
	// args are further arguments of the test binary, such as -test.run=TestX.
	args []string
	// programs are built from main packages and put at these guest paths.
	programs map[string]string
	// files are copied from host paths (from the repository's root) to guest paths.
	files map[string]string
	// hostPrograms are found in the host's PATH and copied with their libraries.
	hostPrograms []string
	env          []string
	// kernels names those it runs on; empty: all.
	kernels []string
	system
	// setup runs before systemd is started.
	setup [][]string
}

// system is what a guest is booted into.
type system struct {
	// cgroupV1 is the hybrid cgroup layout.
	cgroupV1 bool
	// systemd is process 1.
	systemd bool
}

func suites() []suite {
	return []suite{
		{pkg: "./test/vm/smoke"},
		{pkg: "./test/vm/smoke", args: []string{"-test.run=TestMounts|TestCgroupV1|TestPrograms/cgroup"},
			env: []string{"SKEP_CGROUP_V1=1"}, kernels: []string{"5.10", "6.1", "6.12"}, system: system{cgroupV1: true}},
		{pkg: "./test/e2e/ladder", programs: agentPrograms, env: agentEnv},
		// TestStartInACrowd is about the order of attaching, and an emulator is too slow for it.
		{pkg: "./test/e2e/process", args: []string{"-test.skip=TestStartInACrowd"}, programs: containerPrograms, hostPrograms: runtimes,
			env: containerEnv, kernels: []string{"5.10", "6.1", "7.2"}},
		// What the lower rung tells is compared with the best one on an older kernel, on a newer one and on the host.
		{pkg: "./test/e2e/process", args: []string{"-test.skip=TestStartInACrowd|TestRungs/raw_tp"}, programs: containerPrograms,
			hostPrograms: runtimes, env: containerEnv, kernels: []string{"6.12"}},
		{pkg: "./test/e2e/process", args: []string{"-test.run=TestRunc"}, programs: containerPrograms, hostPrograms: runtimes,
			env: containerEnv, kernels: []string{"5.10", "6.12"}, system: system{cgroupV1: true}},
		{pkg: "./test/e2e/containers", args: []string{"-test.run=TestRunc"}, programs: containerPrograms, hostPrograms: runtimes,
			env: containerEnv, kernels: []string{"6.1"}},
		// All rungs in all situations where they have least; between, what each rung tells and which one is used.
		{pkg: "./internal/sensor/tcp", kernels: []string{"5.10"}},
		// The rung that the host does not have runs all of them; the others do so there.
		{pkg: "./internal/sensor/tcp", args: []string{"-test.skip=" + eachSituation}, kernels: []string{"7.2"}},
		{pkg: "./internal/sensor/tcp", part: "fexit", args: []string{"-test.run=" + eachSituation + "/^fexit$"}, kernels: []string{"7.2"}},
		{pkg: "./internal/sensor/tcp", args: []string{"-test.run=TestRung|TestTrafficRungs|TestOwners|TestManyConnections|TestEndings|TestFullSocketMemory"},
			kernels: []string{"6.1", "6.12"}},
		{pkg: "./internal/sensor/dns", kernels: []string{"5.10", "6.1", "6.12", "7.2"}},
		{pkg: "./internal/sensor/process", kernels: []string{"5.10", "6.1", "6.12", "7.2"}},
		{pkg: "./internal/sensor/udp", kernels: []string{"5.10", "6.1", "6.12", "7.2"}},
		{pkg: "./internal/sensor/unix", kernels: []string{"5.10", "6.1", "6.12", "7.2"}},
		{pkg: "./internal/sensor/files", args: []string{"-test.run=Test"}, kernels: []string{"5.10", "7.2"}},
		{pkg: "./internal/sensor/host", kernels: []string{"5.10", "7.2"}},
		// What a reload does is about the configuration.
		{pkg: "./test/e2e/host", args: []string{"-test.skip=TestReload"}, programs: agentPrograms, env: agentEnv, kernels: []string{"5.10", "7.2"}},
		// TestReload is about the configuration, not about the kernel.
		{pkg: "./test/e2e/files", args: []string{"-test.skip=TestReload"}, programs: agentPrograms, env: agentEnv, kernels: []string{"5.10", "7.2"}},
		// Neither sensor uses LSM: a few tests show that nothing else differs either.
		{pkg: "./test/e2e/process", args: []string{"-test.run=TestVictimRung|TestRungs/best/(argv|image|lineage|terminal)$"},
			programs: agentPrograms, env: agentEnv, kernels: []string{"6.12-nobpf"}},
		{pkg: "./internal/sensor/tcp", args: []string{"-test.run=TestRungOfThisKernel|TestTrafficRungs|TestOwners"},
			kernels: []string{"6.12-nobpf", "6.12-lockdown"}},
		{pkg: "./internal/sensor/dns", args: []string{"-test.run=TestInherited|TestSizes"}, kernels: []string{"6.12-nobpf"}},
		{pkg: "./test/e2e/process", args: []string{"-test.run=TestConfidentiality"}, programs: agentPrograms, env: agentEnv,
			kernels: []string{"6.1-lockdown", "6.12-lockdown"}},
		// The service as systemd runs it: installed in an image that is booted then, which is what a reboot is.
		{pkg: "./test/e2e/systemd", programs: map[string]string{"/skep/bin/skepd": "./cmd/skepd", "/skep/bin/skep": "./cmd/skep"}, env: []string{"SKEP_BIN_DIR=/skep/bin"},
			hostPrograms: []string{"groupadd", "groupdel", "useradd", "userdel", "nsenter"},
			files: map[string]string{
				"/etc/systemd/system/containerd.service":        "test/e2e/systemd/testdata/containerd.service",
				"/etc/systemd/system/wait-online.service":       "test/e2e/systemd/testdata/wait-online.service",
				"/etc/systemd/system/skepd.service.d/slow.conf": "test/e2e/systemd/testdata/slow.conf",
				"/etc/skep/skep.yaml":                           "test/e2e/systemd/testdata/skep.yaml",
			},
			setup:   [][]string{{"/skep/bin/skep", "install"}, {"systemctl", "--root=/", "enable", "skepd.service", "containerd.service", "wait-online.service"}},
			kernels: []string{"6.12"}, system: system{systemd: true}},
		{pkg: "./internal/kern", kernels: []string{"5.10", "6.1", "6.12", "7.2"}},
		// TestManyPlaces is about time, which an emulator has another of.
		// What stands for a function is compared with that function as it is in 6.12: newer kernels call some by
		// other ways, and have kprobes.
		{pkg: "./internal/trace", args: []string{"-test.run=Test", "-test.skip=TestManyPlaces"}, kernels: []string{"6.12"}},
		{pkg: "./internal/trace", args: []string{"-test.run=Test", "-test.skip=TestManyPlaces|TestSubstitutes"}, kernels: []string{"6.1", "7.2"}},
		// Where kprobes are; a guest has no disk, and no programs that use the C library.
		{pkg: "./test/e2e/tools", args: []string{"-test.run=TestLoads|TestTools/(argdist|funccount|funclatency|stackcount|trace)$"}, programs: agentPrograms, env: agentEnv,
			kernels: []string{"6.12"}},
		// Random programs are accepted by older verifiers too; an emulator runs a few of them. That of 6.1
		// gives up on a very large one after a million instructions, which the test counts.
		{pkg: "./internal/compile/generate", args: []string{"-test.run=TestDifferential/kernel|TestFound", "-programs=120"},
			kernels: []string{"6.1", "6.12", "7.2"}},
		{pkg: "./internal/vm", args: []string{"-test.run=ByKernel|TestMapsAgree"}, kernels: []string{"6.12", "7.2"}},
		// What depends on the kernel: pins and what becomes of them, rings, links, and not what config or files decide.
		{pkg: "./test/e2e/agent", args: []string{"-test.run=TestForeignUntouched|TestLosses|TestKilledUnder|TestOther|TestEphemeral|" +
			"TestRefusals/no_BPF|TestDamagedPins/(none|a_link_is)"},
			programs: agentPrograms, env: agentEnv, kernels: []string{"5.10"}},
		{pkg: "./test/e2e/agent", args: []string{"-test.run=TestLosses|TestKilledUnder|TestDamagedPins/none"},
			programs: agentPrograms, env: agentEnv, kernels: []string{"6.1", "6.12"}},
		{pkg: "./test/e2e/agent", args: []string{"-test.run=TestForeign|TestLosses|TestTable|TestConnectionsHeal|TestKilledUnder|" +
			"TestOther|TestDamagedPins/(none|a_link_is)"},
			programs: agentPrograms, env: agentEnv, kernels: []string{"7.2"}},
	}
}

// eachSituation are the tests that try each rung of the TCP sensor in one situation.
const eachSituation = "^(TestLostEnds|TestOpenConnections|TestAcceptedByTheEnding|TestUntoldAccept|TestSeveralListeners|TestMPTCP)$"

// What a suite needs that starts the real agent.
var (
	agentPrograms = map[string]string{"/bin/skepd": "./cmd/skepd", "/bin/skep": "./cmd/skep"}
	agentEnv      = []string{"SKEP_BIN_DIR=/bin"}

	containerPrograms = map[string]string{"/bin/skepd": "./cmd/skepd", "/bin/skep": "./cmd/skep", "/skep/probe": "./test/e2e/containers/probe"}
	runtimes          = []string{"runc"}
	containerEnv      = []string{"SKEP_BIN_DIR=/bin", "SKEP_PROBE=/skep/probe"}
)

func (s suite) name() string {
	name := strings.TrimPrefix(s.pkg, "./")
	if s.part != "" {
		name += "-" + s.part
	}
	if s.cgroupV1 {
		name += "-cgroup1"
	}
	return strings.ReplaceAll(name, "/", ".")
}
