// SPDX-License-Identifier: Apache-2.0

package vm

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// maxOutput bounds what a guest may print on one port, in bytes.
const maxOutput = 64 << 20

// machine is one QEMU process to be.
type machine struct {
	kernel Kernel
	image  *Image
	guest  Guest
	initrd string
	// ready is what the second port says when init has finished and the first command starts.
	ready string
}

// ports is what came out of the serial ports, and when.
type ports struct {
	console, output string
	boot, total     time.Duration
}

// args are the flags measured to work with Debian 12's QEMU 7.2; -M microvm hangs. File descriptor 3 is the second
// serial port.
func (m machine) args() []string {
	cpu := "max,la57=off"
	if !m.kernel.CX16 {
		cpu += ",cx16=off"
	}
	// One thread takes turns with the CPUs. With a thread for each (the default), QEMU before 8.1 translates code on one
	// CPU while another writes it: attaching to a tracepoint patches the kernel's text, and the kernel now and then died
	// of the int3 that such a patch begins with.
	args := []string{"-M", "q35", "-cpu", cpu, "-accel", "tcg,thread=single"}
	if m.guest.ICount {
		args = append(args, "-icount", "shift=0,sleep=off", "-smp", "1")
	} else {
		args = append(args, "-smp", "2")
	}
	return append(args,
		"-m", strconv.Itoa(m.guest.MemMiB)+"M", "-net", "none", "-no-reboot",
		// -nographic would be the same, but for SeaBIOS writing terminal codes to the serial port.
		"-display", "none", "-monitor", "none", "-serial", "stdio", "-serial", "file:/proc/self/fd/3",
		"-kernel", m.image.Vmlinuz, "-initrd", m.initrd,
		"-append", m.kernel.commandLine(),
	)
}

func (k Kernel) commandLine() string {
	// oops=panic: a kernel that hurt itself must not go on and pass.
	line := "console=ttyS0 quiet panic=-1 oops=panic lsm=" + k.LSM
	if k.Lockdown != "" {
		line += " lockdown=" + k.Lockdown
	}
	return line
}

// run starts QEMU and waits for its end. What the ports said is returned in any case.
func (m machine) run(ctx context.Context) (ports, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	r, w, err := os.Pipe()
	if err != nil {
		return ports{}, err
	}
	defer r.Close()
	var live sync.Mutex
	start := time.Now()
	console := &capture{start: start, live: m.guest.Output, mu: &live, overflow: cancel}
	output := &capture{awaited: []byte(m.ready), start: start, live: m.guest.Output, mu: &live, overflow: cancel}
	var stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, "qemu-system-x86_64", m.args()...)
	cmd.Stdout, cmd.Stderr, cmd.ExtraFiles = console, &stderr, []*os.File{w}
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	cmd.WaitDelay = 5 * time.Second
	err = cmd.Start()
	_ = w.Close()
	if err != nil {
		return ports{}, fmt.Errorf("start qemu: %w; install qemu-system-x86", err)
	}
	copied := make(chan struct{})
	go func() {
		_, _ = io.Copy(output, r) // ends when QEMU, the only writer, is gone
		close(copied)
	}()
	err = cmd.Wait()
	<-copied
	p := ports{console: console.text(), output: output.text(), boot: output.arrived, total: time.Since(start)}
	return p, explain(ctx, err, stderr.String())
}

// explain prefers the reason why we killed QEMU over "signal: killed".
func explain(ctx context.Context, err error, stderr string) error {
	if err == nil {
		return nil
	}
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	return errors.Join(fmt.Errorf("qemu: %w: %s", err, tail(strings.TrimSpace(stderr), 5)))
}

// capture keeps what a port says, notes when the awaited text arrived, and shows it live.
type capture struct {
	start    time.Time
	awaited  []byte
	arrived  time.Duration
	buf      bytes.Buffer
	live     io.Writer
	mu       *sync.Mutex // shared by the captures that write to live
	overflow context.CancelCauseFunc
}

func (c *capture) Write(p []byte) (int, error) {
	if c.buf.Len()+len(p) > maxOutput {
		c.overflow(fmt.Errorf("the guest printed more than %d MiB", maxOutput>>20))
		return len(p), nil
	}
	c.buf.Write(p)
	if c.arrived == 0 && c.awaited != nil && bytes.Contains(c.buf.Bytes(), c.awaited) {
		c.arrived = time.Since(c.start)
	}
	if c.live != nil {
		c.mu.Lock()
		defer c.mu.Unlock()
		_, _ = c.live.Write(p)
	}
	return len(p), nil
}

func (c *capture) text() string { return strings.ReplaceAll(c.buf.String(), "\r\n", "\n") }
